//! Where a plan's regions are on a GPU; whether everything that a plan names lies in them.

use super::super::{CudaError, DeviceBuffer, Value};
use crate::plan::{Argument, Launch, Plan, Regions};

/// What the driver is given for an argument.
pub(super) fn value(
    regions: &Regions<&DeviceBuffer>,
    argument: &Argument,
) -> Result<Value, CudaError> {
    let (region, offset, bytes) = match *argument {
        Argument::Word(word) => return Ok(Value::Word(word)),
        Argument::Memory {
            region,
            offset,
            bytes,
        } => (region, offset, bytes),
    };
    let nowhere = || wrong("an argument", format!("there is no {region:?}"));
    let buffer = regions.get(region).ok_or_else(nowhere)?;
    let bytes = match bytes {
        Argument::WHOLE => buffer.bytes().saturating_sub(offset),
        bytes => bytes,
    };
    buffer.range(offset, bytes).map(Value::Address)
}

/// Checks all that the driver would not: places, order, grids.
pub(super) fn check(plan: &Plan, constant_bytes: usize) -> Result<(), CudaError> {
    if constant_bytes != plan.constants.len() {
        return Err(wrong(
            "constants",
            "those uploaded are of another plan".to_owned(),
        ));
    }
    let sizes = plan.bytes();
    for (index, launch) in plan.launches.iter().enumerate() {
        check_launch(&sizes, index, launch).map_err(|reason| wrong(&launch.name, reason))?;
    }
    Ok(())
}

fn wrong(launch: &str, reason: String) -> CudaError {
    CudaError::Plan {
        launch: launch.to_owned(),
        reason,
    }
}

fn check_launch(sizes: &Regions<usize>, index: usize, launch: &Launch) -> Result<(), String> {
    if launch.grid.contains(&0) || launch.grid[1] > 65_535 || launch.grid[2] > 65_535 {
        return Err(format!("no GPU takes a grid of {:?} blocks", launch.grid));
    }
    if let Some(later) = launch.after.iter().find(|&&earlier| earlier >= index) {
        return Err(format!(
            "as launch {index} it waits for {later}, which comes later"
        ));
    }
    for argument in &launch.arguments {
        let Argument::Memory {
            region,
            offset,
            bytes,
        } = *argument
        else {
            continue;
        };
        let size = sizes.get(region);
        let &size = size.ok_or_else(|| format!("there is no {region:?}"))?;
        let end = match (bytes, size) {
            (Argument::WHOLE, Argument::WHOLE) => Some(offset),
            _ => offset.checked_add(bytes),
        };
        if end.is_none_or(|end| end > size) {
            return Err(format!(
                "{bytes} bytes from {offset} on do not lie in {region:?} of {size}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Shape;

    use super::*;
    use crate::plan::Region;
    use onelook_ptx::lang::{Builder, Target};

    fn launch(region: Region, offset: usize, bytes: usize) -> Launch {
        Launch {
            name: "model.0".to_owned(),
            spec: None,
            kernel: Arc::new(Builder::new("nothing", Target::Sm80, 32).finish()),
            grid: [1, 1, 1],
            arguments: vec![Argument::Memory {
                region,
                offset,
                bytes,
            }],
            after: Vec::new(),
            output: Shape::default(),
            choice: String::new(),
            flops: 0,
            bytes: 0,
        }
    }

    fn complaint(change: impl FnOnce(&mut Launch)) -> String {
        let mut plan = Plan {
            launches: vec![launch(Region::Arena, 0, 64)],
            arena_bytes: 64,
            inputs: vec![16],
            ..Plan::default()
        };
        assert_eq!(check(&plan, 0), Ok(()));
        change(&mut plan.launches[0]);
        check(&plan, 0).unwrap_err().to_string()
    }

    #[test]
    fn a_plan_that_reaches_outside_of_its_memory_is_refused() {
        let outside = |region, offset, bytes| complaint(|bad| *bad = launch(region, offset, bytes));
        assert!(outside(Region::Arena, 16, 64).contains("16 on do not lie in Arena of 64"));
        assert!(outside(Region::Arena, usize::MAX, 2).contains("do not lie"));
        assert!(outside(Region::Input(0), 0, 17).contains("Input(0) of 16"));
        assert!(outside(Region::Output(0), 0, 0).contains("there is no Output(0)"));
    }

    #[test]
    fn a_plan_that_waits_for_the_future_or_has_no_blocks_is_refused() {
        assert!(complaint(|bad| bad.after = vec![0]).contains("comes later"));
        assert!(complaint(|bad| bad.grid = [1, 0, 1]).contains("no GPU takes a grid"));
    }
}

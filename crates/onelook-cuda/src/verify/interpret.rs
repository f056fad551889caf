//! Runs a whole plan in the interpreter: every launch once, in an order that respects only what the
//! plan says it does, so that a dependency left out shows.

use onelook_ptx::interpreter::{Buffer, Machine, Report, Schedule, Trap, Value};

use crate::plan::{Argument, Launch, Plan, Regions};

/// The regions of a plan: where each is, and its bytes.
type Addresses = Regions<(Buffer, usize)>;

/// Runs a plan on fresh memory: outputs, and a report per launch in the plan's order.
///
/// Launches run in the plan's order if the schedule is in order, else in a random one that
/// respects `after`. Bytes of outputs that nobody wrote come back as 0.
///
/// # Errors
/// A trap of a launch, or inputs that are not those of the plan.
pub fn run_plan(
    plan: &Plan,
    inputs: &[&[u8]],
    schedule: &Schedule,
) -> Result<(Vec<Vec<u8>>, Vec<Report>), Trap> {
    run_plan_watched(plan, inputs, schedule, |_, _, _| {})
}

/// The same, telling after each launch: its number, its memory and its report.
///
/// # Errors
/// As [`run_plan`].
pub fn run_plan_watched(
    plan: &Plan,
    inputs: &[&[u8]],
    schedule: &Schedule,
    mut watch: impl FnMut(usize, &dyn Fn(&Argument) -> Option<Vec<u8>>, &Report),
) -> Result<(Vec<Vec<u8>>, Vec<Report>), Trap> {
    let mut machine = Machine::new();
    let places = allocate(&mut machine, plan, inputs)?;
    let mut reports = vec![Report::default(); plan.launches.len()];
    for number in order(&plan.launches, *schedule)? {
        let launch = &plan.launches[number];
        let values = launch
            .arguments
            .iter()
            .map(|argument| value(&places, argument));
        let values: Vec<Value> = values.collect::<Result<_, _>>()?;
        let outcome = machine.launch(&launch.kernel, launch.grid, &values, schedule);
        let report = outcome.map_err(|trap| Trap {
            kernel: format!("{}' of launch {number} '{}", trap.kernel, launch.name),
            ..trap
        })?;
        watch(
            number,
            &|argument| bytes(&machine, &value(&places, argument).ok()?),
            &report,
        );
        reports[number] = report;
    }
    let outputs = places.outputs.iter().map(|&(buffer, bytes)| {
        let (values, _) = machine.read_partly(buffer, 0, bytes)?;
        Ok(values)
    });
    Ok((outputs.collect::<Result<_, Trap>>()?, reports))
}

fn bytes(machine: &Machine, value: &Value) -> Option<Vec<u8>> {
    match *value {
        Value::Memory {
            buffer,
            offset,
            bytes,
        } => machine
            .read_partly(buffer, offset, bytes)
            .ok()
            .map(|(values, _)| values),
        Value::Word(_) | Value::TensorMap(_) => None,
    }
}

fn allocate(machine: &mut Machine, plan: &Plan, inputs: &[&[u8]]) -> Result<Addresses, Trap> {
    let sizes: Vec<usize> = inputs.iter().map(|input| input.len()).collect();
    let fits = |(&size, &bytes): (&usize, &usize)| bytes == Argument::WHOLE || size == bytes;
    if sizes.len() != plan.inputs.len() || !sizes.iter().zip(&plan.inputs).all(fits) {
        let what = format!("inputs of {sizes:?} bytes for a plan of {:?}", plan.inputs);
        return Err(Trap::outside(what));
    }
    let mut place = |bytes| (machine.allocate(bytes), bytes);
    let places = Addresses {
        arena: place(plan.arena_bytes),
        constants: place(plan.constants.len()),
        counters: place(plan.counter_bytes),
        inputs: sizes.into_iter().map(&mut place).collect(),
        outputs: plan.outputs.iter().map(|&bytes| place(bytes)).collect(),
    };
    let of_launches = [places.arena, places.counters].into_iter();
    for (buffer, _) in of_launches.chain(places.outputs.iter().copied()) {
        machine.expect_launches_to_write(buffer);
    }
    machine.write(places.constants.0, 0, &plan.constants);
    machine.write(places.counters.0, 0, &vec![0; plan.counter_bytes]);
    for (&(buffer, _), input) in places.inputs.iter().zip(inputs) {
        machine.write(buffer, 0, input);
    }
    Ok(places)
}

fn value(places: &Addresses, argument: &Argument) -> Result<Value, Trap> {
    let (region, offset, bytes) = match *argument {
        Argument::Word(word) => return Ok(Value::Word(word)),
        Argument::Memory {
            region,
            offset,
            bytes,
        } => (region, offset, bytes),
    };
    let nowhere = || Trap::outside(format!("the plan has no {region:?}"));
    let &(buffer, size) = places.get(region).ok_or_else(nowhere)?;
    let bytes = match bytes {
        Argument::WHOLE => size.saturating_sub(offset),
        bytes => bytes,
    };
    Ok(Value::Memory {
        buffer,
        offset,
        bytes,
    })
}

/// The launches' numbers in an order that `after` allows.
fn order(launches: &[Launch], schedule: Schedule) -> Result<Vec<usize>, Trap> {
    let mut pick = schedule.picks();
    let mut done = vec![false; launches.len()];
    let mut order = Vec::new();
    while order.len() < launches.len() {
        let ready: Vec<usize> = (0..launches.len())
            .filter(|&number| !done[number])
            .filter(|&number| {
                let after = &launches[number].after;
                after.iter().all(|&before| done.get(before) == Some(&true))
            })
            .collect();
        if ready.is_empty() {
            return Err(Trap::outside(
                "the plan's launches wait for each other in a circle",
            ));
        }
        let chosen = ready[pick(ready.len())];
        done[chosen] = true;
        order.push(chosen);
    }
    Ok(order)
}

#[cfg(test)]
mod tests;

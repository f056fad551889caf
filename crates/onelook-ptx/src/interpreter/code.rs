//! A kernel's structured statements as a flat list of instructions and jumps, so that a warp can
//! stop after any instruction and continue later.

use crate::lang::{Address, Instruction, Kernel, RegP, Statement};

/// One entry of the list.
#[derive(Debug)]
pub(super) enum CodeStep<'k> {
    /// An instruction.
    Do(&'k Instruction),
    /// Keeps the lanes where the predicate holds and saves the others; jumps if none are left.
    If { condition: RegP, otherwise: usize },
    /// Switches to the saved lanes; jumps if there are none.
    Else { end: usize },
    /// Restores the lanes that were active before the `If`.
    End,
    /// Saves the lanes that enter a loop.
    Enter,
    /// Drops the lanes where the predicate fails; once none are left, restores those that entered
    /// and leaves the loop.
    Test { condition: RegP, exit: usize },
    /// Jumps back to the head of a loop.
    Back { to: usize },
}

/// The list, and the kernel's comments by the entry that they precede.
#[derive(Debug)]
pub(super) struct Code<'k> {
    pub(super) steps: Vec<CodeStep<'k>>,
    comments: Vec<(usize, &'k str)>,
}

impl<'k> Code<'k> {
    pub(super) fn of(kernel: &'k Kernel) -> Self {
        let mut code = Self {
            steps: Vec::new(),
            comments: Vec::new(),
        };
        code.append(&kernel.body);
        code
    }

    fn append(&mut self, statements: &'k [Statement]) {
        for statement in statements {
            match statement {
                Statement::Do(instruction) => self.steps.push(CodeStep::Do(instruction)),
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => self.append_if(*condition, then, otherwise),
                Statement::While {
                    head,
                    condition,
                    body,
                } => self.append_while(head, *condition, body),
                Statement::Comment(text) => self.comments.push((self.steps.len(), text)),
            }
        }
    }

    fn append_if(&mut self, condition: RegP, then: &'k [Statement], otherwise: &'k [Statement]) {
        let begin = self.steps.len();
        self.steps.push(CodeStep::End);
        self.append(then);
        let middle = self.steps.len();
        self.steps.push(CodeStep::End);
        self.append(otherwise);
        let end = self.steps.len();
        self.steps.push(CodeStep::End);
        self.steps[begin] = CodeStep::If {
            condition,
            otherwise: middle,
        };
        self.steps[middle] = CodeStep::Else { end };
    }

    fn append_while(&mut self, head: &'k [Statement], condition: RegP, body: &'k [Statement]) {
        self.steps.push(CodeStep::Enter);
        let to = self.steps.len();
        self.append(head);
        let test = self.steps.len();
        self.steps.push(CodeStep::End);
        self.append(body);
        self.steps.push(CodeStep::Back { to });
        let exit = self.steps.len();
        self.steps[test] = CodeStep::Test { condition, exit };
    }

    fn any(&self, what: impl Fn(&Instruction) -> bool) -> bool {
        let is =
            |step: &CodeStep<'_>| matches!(step, CodeStep::Do(instruction) if what(instruction));
        self.steps.iter().any(is)
    }

    /// Whether single bytes of global memory are stored.
    pub(super) fn stores_bytes(&self) -> bool {
        self.any(|instruction| match instruction {
            Instruction::Store { to, from, bytes } => {
                matches!(to, Address::Global { .. }) && *bytes == 1 && from.len() == 1
            }
            _ => false,
        })
    }

    /// Whether asynchronous units (TMA, `wgmma`) access shared memory.
    pub(super) fn has_units(&self) -> bool {
        use Instruction as I;
        self.any(|instruction| matches!(instruction, I::Wgmma { .. } | I::TensorLoad { .. }))
    }

    /// Describes an entry for error messages.
    pub(super) fn describe(&self, place: usize) -> String {
        let what = match self.steps.get(place) {
            Some(CodeStep::Do(instruction)) => format!("{instruction:?}"),
            Some(step) => format!("{step:?}"),
            None => "the end".to_owned(),
        };
        let before = self.comments.iter().rev().find(|(at, _)| *at <= place);
        match before {
            Some((_, comment)) => format!("step {place}, after \"{comment}\": {what}"),
            None => format!("step {place}: {what}"),
        }
    }
}

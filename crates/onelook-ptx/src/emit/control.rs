//! Steps in order, conditions and loops, as labels and branches.

use super::operand::predicate;
use super::{PtxError, Writer};
use crate::lang::{RegP, Statement};

impl Writer<'_> {
    /// The statements' lines.
    pub(super) fn block(&mut self, statements: &[Statement]) -> Result<(), PtxError> {
        statements.iter().try_for_each(|it| self.statement(it))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), PtxError> {
        match statement {
            Statement::Do(instruction) => self.instruction(instruction),
            Statement::If {
                condition,
                then,
                otherwise,
            } => self.condition(*condition, then, otherwise),
            Statement::While {
                head,
                condition,
                body,
            } => self.repeat(head, *condition, body),
            Statement::Comment(text) => {
                text.lines()
                    .for_each(|line| self.line(&format!("// {line}")));
                Ok(())
            }
        }
    }

    fn condition(
        &mut self,
        condition: RegP,
        then: &[Statement],
        otherwise: &[Statement],
    ) -> Result<(), PtxError> {
        let number = self.fresh();
        let end = format!("$end_{number}");
        let condition = predicate(condition);
        if otherwise.is_empty() {
            self.line(&format!("@!{condition} bra {end};"));
            self.indented(|writer| writer.block(then))?;
        } else if then.is_empty() {
            self.line(&format!("@{condition} bra {end};"));
            self.indented(|writer| writer.block(otherwise))?;
        } else {
            let otherwise_label = format!("$else_{number}");
            self.line(&format!("@!{condition} bra {otherwise_label};"));
            self.indented(|writer| writer.block(then))?;
            self.line(&format!("bra {end};"));
            self.label(&otherwise_label);
            self.indented(|writer| writer.block(otherwise))?;
        }
        self.label(&end);
        Ok(())
    }

    fn repeat(
        &mut self,
        head: &[Statement],
        condition: RegP,
        body: &[Statement],
    ) -> Result<(), PtxError> {
        let number = self.fresh();
        let (again, end) = (format!("$loop_{number}"), format!("$end_{number}"));
        self.label(&again);
        self.indented(|writer| {
            writer.block(head)?;
            writer.line(&format!("@!{} bra {end};", predicate(condition)));
            writer.block(body)?;
            writer.line(&format!("bra {again};"));
            Ok(())
        })?;
        self.label(&end);
        Ok(())
    }
}

//! How deep a program is: whoever reads it further calls itself for each level, on the stack that there is.

use oxc_ast::ast::{Expression, Program, Statement};
use oxc_ast_visit::{Visit, walk};

/// Levels of expressions and statements. V8 has read the module before, so brackets are fewer levels; but it takes
/// `a + b + c` or `a.b.c` of any length, which are as many.
const MOST: usize = 5_000;

/// Whether the program is deeper than what follows can take.
pub(crate) fn is_too_deep(program: &Program<'_>) -> bool {
    let mut meter = Meter::default();
    meter.visit_program(program);
    meter.is_too_deep
}

#[derive(Default)]
struct Meter {
    depth: usize,
    is_too_deep: bool,
}

impl Meter {
    fn deeper(&mut self, go_on: impl FnOnce(&mut Self)) {
        if self.depth == MOST {
            self.is_too_deep = true;
        }
        if self.is_too_deep {
            return;
        }
        self.depth += 1;
        go_on(self);
        self.depth -= 1;
    }
}

impl<'a> Visit<'a> for Meter {
    fn visit_expression(&mut self, it: &Expression<'a>) {
        self.deeper(|meter| walk::walk_expression(meter, it));
    }

    fn visit_statement(&mut self, it: &Statement<'a>) {
        self.deeper(|meter| walk::walk_statement(meter, it));
    }
}

//! Finds the variables that closures use, and what they are part of.

use std::cell::Cell;
use std::collections::BTreeSet;

use oxc_ast::ast::{
    AccessorProperty, ArrowFunctionBody, ArrowFunctionExpression, AwaitExpression, BlockStatement,
    CatchClause, Class, ClassElement, ForInStatement, ForOfStatement, ForStatement,
    FormalParameters, Function, IdentifierReference, ImportMeta, NewTarget, ObjectProperty,
    Program, PropertyDefinition, PropertyKind, Statement, StaticBlock, Super, SwitchStatement,
    ThisExpression, VariableDeclaration, VariableDeclarationKind, WithStatement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::{ScopeFlags, ScopeId, Scoping};

use crate::insertions::Insertions;
use crate::{HOOK, Refusal};

/// Reads a program: the places where something is to be added.
pub(crate) fn read(program: &Program<'_>, scoping: &Scoping) -> Result<Vec<Place>, Refusal> {
    if scoping.symbol_names().any(is_ours) {
        return Err(Refusal::Uses("a name of pg_live"));
    }
    let mut reader = Reader::new(scoping);
    reader.visit_program(program);
    match reader.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(reader.places),
    }
}

/// What a hook's argument calls the function that takes a variable.
const TAKE: &str = "$pg_live_take";

/// Whether a name is one that added text uses.
fn is_ours(name: &str) -> bool {
    name.starts_with("$pg_live_")
}

/// How a statement is added.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Before the first statement of a block.
    Statement { at: u32 },
    /// Around the expression that is an arrow function's body.
    Expression { at: u32, end: u32 },
    /// A static block of a class.
    Static { at: u32 },
    /// A private field of a class, for its instances.
    Field { at: u32 },
}

/// A place where variables are handed over.
#[derive(Debug)]
pub(crate) struct Place {
    form: Form,
    /// What is handed over: names, `this`, `arguments`.
    names: BTreeSet<String>,
    /// Why the module is refused if this place is passed while it is imported.
    marks: BTreeSet<String>,
}

impl Place {
    /// The text to add, if there is any.
    pub(crate) fn write(&self, insertions: &mut Insertions) {
        if self.names.is_empty() && self.marks.is_empty() {
            return;
        }
        let mut call = format!("{HOOK}&&{HOOK}({TAKE}=>{{");
        for name in &self.names {
            call.push_str(&format!("{TAKE}(\"{name}\",()=>{name});"));
        }
        call.push('}');
        // The texts of marks hold no quotes but those of names, which are identifiers.
        for mark in &self.marks {
            call.push_str(&format!(",\"{}\"", mark.replace('"', "'")));
        }
        call.push(')');
        match self.form {
            // The first semicolon ends a directive before it that has none.
            Form::Statement { at } => insertions.add(at, format!(";{call};")),
            Form::Expression { at, end } => {
                insertions.add(at, format!("({call},"));
                insertions.add(end, ")".to_owned());
            }
            Form::Static { at } => insertions.add(at, format!("static{{{call}}}")),
            Form::Field { at } => insertions.add(at, format!("#{HOOK}={call};")),
        }
    }
}

/// What code runs as one activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Module,
    Function,
    /// A method, getter or setter of an object literal.
    ObjectMethod,
    Arrow,
    /// The value of a field of instances.
    Field,
    /// The value of a static field, or a static block.
    Static,
}

struct Boundary {
    kind: Kind,
    /// Where what it holds is handed over. `None`: nowhere, so a module that needs it is refused.
    place: Option<usize>,
    /// Inside of its parameters, or of the head of a loop in it: closures there have scopes of their own.
    in_head: u32,
}

#[derive(Clone, Copy)]
struct ScopeInfo {
    boundary: usize,
    /// Where its variables are handed over.
    place: Option<usize>,
}

struct Reader<'s> {
    scoping: &'s Scoping,
    places: Vec<Place>,
    boundaries: Vec<Boundary>,
    /// The boundaries that are open, the innermost last.
    open: Vec<usize>,
    scopes: Vec<Option<ScopeInfo>>,
    /// The place of the scope that is entered next.
    next_place: Option<usize>,
    /// The function that comes next is one of an object literal.
    object_method: bool,
    /// Places of the instances of the classes that are open.
    instances: Vec<usize>,
    refusal: Option<Refusal>,
}

impl<'s> Reader<'s> {
    fn new(scoping: &'s Scoping) -> Self {
        let mut reader = Self {
            scoping,
            places: Vec::new(),
            boundaries: Vec::new(),
            open: Vec::new(),
            scopes: vec![None; scoping.scopes_len()],
            next_place: None,
            object_method: false,
            instances: Vec::new(),
            refusal: None,
        };
        let place = reader.place(Form::Statement { at: 0 });
        reader.begin(Kind::Module, Some(place));
        reader.next_place = Some(place);
        reader
    }

    fn place(&mut self, form: Form) -> usize {
        self.places.push(Place {
            form,
            names: BTreeSet::new(),
            marks: BTreeSet::new(),
        });
        self.places.len() - 1
    }

    fn begin(&mut self, kind: Kind, place: Option<usize>) {
        if let Some(&outer) = self.open.last()
            && self.boundaries[outer].in_head > 0
        {
            self.mark(
                outer,
                "a function in the head of another, or of a loop, was used",
            );
        }
        self.boundaries.push(Boundary {
            kind,
            place,
            in_head: 0,
        });
        self.open.push(self.boundaries.len() - 1);
    }

    fn end(&mut self) {
        self.open.pop();
    }

    fn current(&self) -> usize {
        self.open.last().copied().unwrap_or(0)
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// Refuses the module if the code of `boundary` runs while it is imported.
    fn mark(&mut self, boundary: usize, why: &str) {
        let Boundary { kind, place, .. } = self.boundaries[boundary];
        match place {
            Some(place) if kind != Kind::Module => {
                self.places[place].marks.insert(why.to_owned());
            }
            _ => self.refuse(Refusal::Uses(
                "a function in the head of a loop, or a switch with variables, at its top",
            )),
        }
    }

    fn mark_place(&mut self, place: usize, why: &str) {
        self.places[place].marks.insert(why.to_owned());
    }

    /// The innermost activation that has a `this` of its own.
    fn receiver(&self) -> usize {
        let own = |at: &&usize| self.boundaries[**at].kind != Kind::Arrow;
        self.open.iter().rev().find(own).copied().unwrap_or(0)
    }

    /// Notes that an arrow function uses `name`, which belongs to the function around it.
    fn inherit(&mut self, name: &str) {
        if self.boundaries[self.current()].kind != Kind::Arrow {
            return;
        }
        let Boundary { kind, place, .. } = self.boundaries[self.receiver()];
        match kind {
            // `this` is undefined there, and the class.
            Kind::Module | Kind::Static => {}
            Kind::Function | Kind::ObjectMethod | Kind::Field => {
                if let Some(place) = place {
                    self.places[place].names.insert(name.to_owned());
                }
            }
            Kind::Arrow => unreachable!("an arrow function is no receiver"),
        }
    }

    /// A loop: its head with closures is not followed, its body hands over the variables of the head.
    fn visit_loop(
        &mut self,
        scope: &Cell<Option<ScopeId>>,
        body: &Statement<'_>,
        head: impl FnOnce(&mut Self),
    ) {
        self.next_place = match body {
            Statement::BlockStatement(block) => Some(self.place(Form::Statement {
                at: block.span.start + 1,
            })),
            _ => None,
        };
        self.enter_scope(ScopeFlags::empty(), scope);
        let current = self.current();
        self.boundaries[current].in_head += 1;
        head(self);
        self.boundaries[current].in_head -= 1;
    }

    /// What private elements of a class mean: freezing does not cover them.
    fn private_elements(&mut self, class: &Class<'_>, of_class: usize, of_instance: usize) {
        let (mut any, mut fields, mut statics) = (false, false, false);
        for element in &class.body.body {
            let (private, is_field, is_static) = match element {
                ClassElement::PropertyDefinition(it) => {
                    (it.key.is_private_identifier(), true, it.r#static)
                }
                ClassElement::MethodDefinition(it) => {
                    (it.key.is_private_identifier(), false, it.r#static)
                }
                ClassElement::AccessorProperty(it) => (true, true, it.r#static),
                ClassElement::StaticBlock(_) | ClassElement::TSIndexSignature(_) => continue,
            };
            any |= private;
            fields |= private && is_field && !is_static;
            statics |= private && is_field && is_static;
        }
        if any && class.heritage.is_some() {
            // A constructor that returns another object puts them on any object, also on frozen ones.
            self.refuse(Refusal::Uses(
                "private elements in a class that extends another",
            ));
        }
        if fields {
            self.mark_place(of_instance, "an object with private fields was made");
        }
        if statics {
            self.mark_place(of_class, "a class with private static fields was made");
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn enter_scope(&mut self, _flags: ScopeFlags, scope: &Cell<Option<ScopeId>>) {
        let place = self.next_place.take();
        if let Some(scope) = scope.get() {
            self.scopes[scope.index()] = Some(ScopeInfo {
                boundary: self.current(),
                place,
            });
        }
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        let is_method = std::mem::take(&mut self.object_method);
        let Some(body) = &it.body else { return };
        let at = body
            .directives
            .last()
            .map_or(body.span.start + 1, |directive| directive.span.end);
        let place = self.place(Form::Statement { at });
        if it.r#async && it.generator {
            self.refuse(Refusal::Uses("async generators"));
        }
        if it.r#async {
            self.mark_place(place, "an async function was called");
        }
        if it.generator {
            self.mark_place(place, "a generator was used");
        }
        let kind = if is_method {
            Kind::ObjectMethod
        } else {
            Kind::Function
        };
        self.begin(kind, Some(place));
        self.next_place = Some(place);
        walk::walk_function(self, it, flags);
        self.end();
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        let form = match &it.body {
            ArrowFunctionBody::FunctionBody(body) => Form::Statement {
                at: body
                    .directives
                    .last()
                    .map_or(body.span.start + 1, |directive| directive.span.end),
            },
            body => {
                let span = oxc_span::GetSpan::span(body);
                Form::Expression {
                    at: span.start,
                    end: span.end,
                }
            }
        };
        let place = self.place(form);
        if it.r#async {
            self.mark_place(place, "an async function was called");
        }
        self.begin(Kind::Arrow, Some(place));
        self.next_place = Some(place);
        walk::walk_arrow_function_expression(self, it);
        self.end();
    }

    fn visit_formal_parameters(&mut self, it: &FormalParameters<'a>) {
        let current = self.current();
        self.boundaries[current].in_head += 1;
        walk::walk_formal_parameters(self, it);
        self.boundaries[current].in_head -= 1;
    }

    fn visit_object_property(&mut self, it: &ObjectProperty<'a>) {
        self.visit_property_key(&it.key);
        self.object_method = it.method || it.kind != PropertyKind::Init;
        self.visit_expression(&it.value);
        self.object_method = false;
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        let at = it.body.span.start + 1;
        let of_class = self.place(Form::Static { at });
        self.places[of_class].names.insert("this".to_owned());
        let of_instance = self.place(Form::Field { at });
        self.private_elements(it, of_class, of_instance);
        self.instances.push(of_instance);
        // The only variable of its scope is the class itself.
        self.next_place = Some(of_class);
        walk::walk_class(self, it);
        self.instances.pop();
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        self.visit_property_key(&it.key);
        let Some(value) = &it.value else { return };
        if it.r#static {
            self.begin(Kind::Static, None);
        } else {
            self.begin(Kind::Field, self.instances.last().copied());
        }
        self.visit_expression(value);
        self.end();
    }

    fn visit_accessor_property(&mut self, _it: &AccessorProperty<'a>) {
        self.refuse(Refusal::Uses("auto-accessors"));
    }

    fn visit_static_block(&mut self, it: &StaticBlock<'a>) {
        let place = it.body.first().map(|first| {
            let at = oxc_span::GetSpan::span(first).start;
            self.place(Form::Statement { at })
        });
        self.begin(Kind::Static, place);
        self.next_place = place;
        walk::walk_static_block(self, it);
        self.end();
    }

    fn visit_block_statement(&mut self, it: &BlockStatement<'a>) {
        self.next_place = Some(self.place(Form::Statement {
            at: it.span.start + 1,
        }));
        walk::walk_block_statement(self, it);
    }

    fn visit_catch_clause(&mut self, it: &CatchClause<'a>) {
        self.next_place = Some(self.place(Form::Statement {
            at: it.body.span.start + 1,
        }));
        let current = self.current();
        self.enter_scope(ScopeFlags::CatchClause, &it.scope_id);
        if let Some(param) = &it.param {
            self.boundaries[current].in_head += 1;
            self.visit_catch_parameter(param);
            self.boundaries[current].in_head -= 1;
        }
        self.visit_block_statement(&it.body);
    }

    fn visit_switch_statement(&mut self, it: &SwitchStatement<'a>) {
        self.visit_expression(&it.discriminant);
        self.next_place = None;
        self.enter_scope(ScopeFlags::empty(), &it.scope_id);
        self.visit_switch_cases(&it.cases);
    }

    fn visit_for_statement(&mut self, it: &ForStatement<'a>) {
        self.visit_loop(&it.scope_id, &it.body, |reader| {
            if let Some(init) = &it.init {
                reader.visit_for_statement_init(init);
            }
            for part in [&it.test, &it.update].into_iter().flatten() {
                reader.visit_expression(part);
            }
        });
        self.visit_statement(&it.body);
    }

    fn visit_for_in_statement(&mut self, it: &ForInStatement<'a>) {
        self.visit_loop(&it.scope_id, &it.body, |reader| {
            reader.visit_for_statement_left(&it.left);
            reader.visit_expression(&it.right);
        });
        self.visit_statement(&it.body);
    }

    fn visit_for_of_statement(&mut self, it: &ForOfStatement<'a>) {
        if it.r#await && self.boundaries[self.current()].kind == Kind::Module {
            self.refuse(Refusal::Uses("await at its top"));
        }
        self.visit_loop(&it.scope_id, &it.body, |reader| {
            reader.visit_for_statement_left(&it.left);
            reader.visit_expression(&it.right);
        });
        self.visit_statement(&it.body);
    }

    fn visit_variable_declaration(&mut self, it: &VariableDeclaration<'a>) {
        let is_using = matches!(
            it.kind,
            VariableDeclarationKind::Using | VariableDeclarationKind::AwaitUsing
        );
        if is_using && self.boundaries[self.current()].kind == Kind::Module {
            self.refuse(Refusal::Uses("using at its top"));
        }
        walk::walk_variable_declaration(self, it);
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        let Some(reference) = it.reference_id.get() else {
            return self.refuse(Refusal::Uses("a name that was not resolved"));
        };
        let reference = self.scoping.get_reference(reference);
        let Some(symbol) = reference.symbol_id() else {
            match it.name.as_str() {
                "arguments" => self.inherit("arguments"),
                name if is_ours(name) => self.refuse(Refusal::Uses("a name of pg_live")),
                _ => {}
            }
            return;
        };
        let scope = self.scoping.symbol_scope_id(symbol);
        let Some(ScopeInfo { boundary, place }) = self.scopes[scope.index()] else {
            return self.refuse(Refusal::Uses("a variable whose scope is not known"));
        };
        if boundary == self.current() {
            return;
        }
        let is_module = self.boundaries[boundary].kind == Kind::Module;
        if reference.is_write() {
            if is_module {
                self.refuse(Refusal::Assigned(it.name.to_string()));
            } else {
                let why = format!(
                    "the variable \"{}\" of a function that ran is assigned in another",
                    it.name
                );
                self.mark(boundary, &why);
            }
        }
        match place {
            Some(place) => {
                self.places[place].names.insert(it.name.to_string());
            }
            None => self.mark(
                boundary,
                "a variable of a loop without a block, or of a switch, was kept",
            ),
        }
    }

    fn visit_this_expression(&mut self, _it: &ThisExpression) {
        self.inherit("this");
    }

    fn visit_super(&mut self, _it: &Super) {
        if self.boundaries[self.receiver()].kind == Kind::ObjectMethod {
            self.refuse(Refusal::Uses("super in an object literal"));
        }
        self.inherit("this");
    }

    fn visit_new_target(&mut self, _it: &NewTarget) {
        self.inherit("new.target");
    }

    fn visit_import_meta(&mut self, _it: &ImportMeta) {
        self.refuse(Refusal::Uses("import.meta"));
    }

    fn visit_await_expression(&mut self, it: &AwaitExpression<'a>) {
        if self.boundaries[self.current()].kind == Kind::Module {
            self.refuse(Refusal::Uses("await at its top"));
        }
        walk::walk_await_expression(self, it);
    }

    fn visit_with_statement(&mut self, _it: &WithStatement<'a>) {
        self.refuse(Refusal::Uses("with"));
    }
}

//! Filter expressions: what `.filter(q => ...)` sends, evaluated on documents.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::field::{FieldPath, FieldPathError};
use crate::json::{JsonError, abbreviate, parse_optional};
use crate::value::Value;

/// How deep expressions may be nested.
const MAX_NESTING: usize = 128;

/// An expression over the fields of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A comparison in the total order of values; absent fields take part as `undefined`.
    Compare(Comparison, Box<[Expr; 2]>),
    /// Arithmetic on two integers or on two floats.
    Arithmetic(Operation, Box<[Expr; 2]>),
    /// The negative of a number.
    Negate(Box<Expr>),
    /// The negation of a boolean.
    Not(Box<Expr>),
    /// Whether all are true; those after the first false one are not evaluated.
    And(Vec<Expr>),
    /// Whether any is true; those after the first true one are not evaluated.
    Or(Vec<Expr>),
    /// The value of a field.
    Field(FieldPath),
    /// A constant; `None` is `undefined`.
    Literal(Option<Value>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How two numbers are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Why JSON is not an expression.
#[derive(Debug, thiserror::Error)]
pub enum ExprError {
    /// Not one of the known forms.
    #[error("Invalid filter expression {0}: {1}.")]
    Form(String, &'static str),
    /// A literal that is not a value.
    #[error("Invalid literal in a filter expression: {0}")]
    Literal(#[from] JsonError),
    /// A field that no document can have.
    #[error("Invalid filter expression: {0}")]
    Field(#[from] FieldPathError),
    /// Nested too deep.
    #[error("The filter expression is nested more than {MAX_NESTING} levels deep. Simplify it.")]
    TooNested,
}

/// Why an expression has no value for a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Something other than a boolean where a boolean is needed.
    #[error(
        "Expected a boolean in {place} of a filter, got {found}. Compare it, as in \
         `q.eq(q.field(\"f\"), true)`."
    )]
    NotBoolean {
        /// Where it was found.
        place: &'static str,
        /// What was found, abbreviated.
        found: String,
    },
    /// Operands that are not numbers, or an integer and a float.
    #[error(
        "Cannot compute {operation} of {operands} in a filter: both have to be float64 (number) or \
         both int64 (bigint)."
    )]
    NotNumbers {
        /// What was to be computed.
        operation: &'static str,
        /// Of what, abbreviated.
        operands: String,
    },
    /// An integer that does not fit 64 bits, or a division of an integer by zero.
    #[error("Integer overflow or division by zero in {operation} of {operands} in a filter.")]
    Overflow {
        /// What was to be computed.
        operation: &'static str,
        /// Of what.
        operands: String,
    },
}

type Operand<'a> = Option<Cow<'a, Value>>;

impl Expr {
    /// Reads the JSON form of an expression.
    ///
    /// # Errors
    /// If the form is not known.
    pub fn parse(json: &Json) -> Result<Expr, ExprError> {
        parse_at(json, 0)
    }

    /// The value for a document; `None` is `undefined`.
    ///
    /// # Errors
    /// If operands have the wrong types or integer arithmetic overflows.
    pub fn eval(&self, document: &Value) -> Result<Option<Value>, FilterError> {
        Ok(self.operand(document)?.map(Cow::into_owned))
    }

    /// Whether a document passes the filter.
    ///
    /// # Errors
    /// As [`Expr::eval`], and if the value is not a boolean.
    pub fn is_true(&self, document: &Value) -> Result<bool, FilterError> {
        self.boolean(document, "the result")
    }

    fn operand<'a>(&'a self, document: &'a Value) -> Result<Operand<'a>, FilterError> {
        let computed = match self {
            Expr::Field(path) => return Ok(path.get(document).map(Cow::Borrowed)),
            Expr::Literal(value) => return Ok(value.as_ref().map(Cow::Borrowed)),
            Expr::Compare(comparison, operands) => {
                let [left, right] = operands.as_ref();
                let order = left.operand(document)?.cmp(&right.operand(document)?);
                Value::Boolean(comparison.holds(order))
            }
            Expr::Arithmetic(operation, operands) => {
                let [left, right] = operands.as_ref();
                operation.apply(&left.operand(document)?, &right.operand(document)?)?
            }
            Expr::Negate(operand) => negate(&operand.operand(document)?)?,
            Expr::Not(operand) => Value::Boolean(!operand.boolean(document, "`not`")?),
            Expr::And(operands) => {
                let mut all = true;
                for operand in operands {
                    all = all && operand.boolean(document, "`and`")?;
                }
                Value::Boolean(all)
            }
            Expr::Or(operands) => {
                let mut any = false;
                for operand in operands {
                    any = any || operand.boolean(document, "`or`")?;
                }
                Value::Boolean(any)
            }
        };
        Ok(Some(Cow::Owned(computed)))
    }

    fn boolean(&self, document: &Value, place: &'static str) -> Result<bool, FilterError> {
        let operand = self.operand(document)?;
        match operand.as_deref() {
            Some(Value::Boolean(truth)) => Ok(*truth),
            found => Err(FilterError::NotBoolean {
                place,
                found: shown(found),
            }),
        }
    }
}

impl Comparison {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Add => "the sum",
            Operation::Subtract => "the difference",
            Operation::Multiply => "the product",
            Operation::Divide => "the quotient",
            Operation::Remainder => "the remainder",
        }
    }

    fn apply(self, left: &Operand<'_>, right: &Operand<'_>) -> Result<Value, FilterError> {
        let (left, right) = (left.as_deref(), right.as_deref());
        let operands = || format!("{} and {}", shown(left), shown(right));
        match (left, right) {
            (Some(Value::Float64(left)), Some(Value::Float64(right))) => {
                Ok(Value::Float64(match self {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                    Operation::Divide => left / right,
                    Operation::Remainder => left % right,
                }))
            }
            (Some(Value::Int64(left)), Some(Value::Int64(right))) => {
                let result = match self {
                    Operation::Add => left.checked_add(*right),
                    Operation::Subtract => left.checked_sub(*right),
                    Operation::Multiply => left.checked_mul(*right),
                    Operation::Divide => left.checked_div(*right),
                    Operation::Remainder => left.checked_rem(*right),
                };
                let overflow = || FilterError::Overflow {
                    operation: self.name(),
                    operands: operands(),
                };
                result.map(Value::Int64).ok_or_else(overflow)
            }
            _ => Err(FilterError::NotNumbers {
                operation: self.name(),
                operands: operands(),
            }),
        }
    }
}

fn negate(operand: &Operand<'_>) -> Result<Value, FilterError> {
    let operation = "the negative";
    match operand.as_deref() {
        Some(Value::Float64(number)) => Ok(Value::Float64(-number)),
        Some(Value::Int64(number)) => {
            number
                .checked_neg()
                .map(Value::Int64)
                .ok_or_else(|| FilterError::Overflow {
                    operation,
                    operands: number.to_string(),
                })
        }
        found => Err(FilterError::NotNumbers {
            operation,
            operands: shown(found),
        }),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(
        || "undefined".to_owned(),
        |value| abbreviate(&value.to_string()),
    )
}

fn parse_at(json: &Json, depth: usize) -> Result<Expr, ExprError> {
    if depth > MAX_NESTING {
        return Err(ExprError::TooNested);
    }
    let wrong = |reason| ExprError::Form(abbreviate(&json.to_string()), reason);
    let object = json.as_object().ok_or_else(|| wrong("not an object"))?;
    let mut entries = object.iter();
    let (Some((operator, content)), None) = (entries.next(), entries.next()) else {
        return Err(wrong("not an object of one key"));
    };
    let nested = |json: &Json| parse_at(json, depth + 1);
    let list = || -> Result<Vec<Expr>, ExprError> {
        let items = content.as_array().ok_or_else(|| wrong("not a list"))?;
        items.iter().map(nested).collect()
    };
    let pair = || -> Result<Box<[Expr; 2]>, ExprError> {
        let operands = <[Expr; 2]>::try_from(list()?);
        operands
            .map(Box::new)
            .map_err(|_| wrong("not two operands"))
    };
    Ok(match operator.as_str() {
        "$eq" => Expr::Compare(Comparison::Equal, pair()?),
        "$neq" => Expr::Compare(Comparison::NotEqual, pair()?),
        "$lt" => Expr::Compare(Comparison::Less, pair()?),
        "$lte" => Expr::Compare(Comparison::LessOrEqual, pair()?),
        "$gt" => Expr::Compare(Comparison::Greater, pair()?),
        "$gte" => Expr::Compare(Comparison::GreaterOrEqual, pair()?),
        "$add" => Expr::Arithmetic(Operation::Add, pair()?),
        "$sub" => Expr::Arithmetic(Operation::Subtract, pair()?),
        "$mul" => Expr::Arithmetic(Operation::Multiply, pair()?),
        "$div" => Expr::Arithmetic(Operation::Divide, pair()?),
        "$mod" => Expr::Arithmetic(Operation::Remainder, pair()?),
        "$neg" => Expr::Negate(Box::new(nested(content)?)),
        "$not" => Expr::Not(Box::new(nested(content)?)),
        "$and" => Expr::And(list()?),
        "$or" => Expr::Or(list()?),
        "$field" => {
            let path = content
                .as_str()
                .ok_or_else(|| wrong("the field is not a string"))?;
            Expr::Field(FieldPath::parse(path)?)
        }
        "$literal" => Expr::Literal(parse_optional(content.clone())?),
        _ => return Err(wrong("unknown operator")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_json, any_optional_value, object};
    use crate::value::compare;
    use proptest::prelude::*;
    use serde_json::json;

    fn document() -> Value {
        object(&[
            ("age", Value::Float64(7.0)),
            ("count", Value::Int64(i64::MAX)),
            ("name", object(&[("first", Value::from("Ann"))])),
            ("ok", Value::Boolean(true)),
        ])
    }

    fn eval(json: &Json) -> Result<Option<Value>, FilterError> {
        Expr::parse(json).unwrap().eval(&document())
    }

    #[test]
    fn fields_and_literals() {
        assert_eq!(
            eval(&json!({"$field": "name.first"})),
            Ok(Some(Value::from("Ann")))
        );
        assert_eq!(eval(&json!({"$field": "name.last"})), Ok(None));
        assert_eq!(eval(&json!({"$literal": {"$undefined": null}})), Ok(None));
        let integer = json!({"$literal": {"$integer": "AQAAAAAAAAA="}});
        assert_eq!(eval(&integer), Ok(Some(Value::Int64(1))));
    }

    #[test]
    fn comparisons_span_types_and_absence() {
        let cases = [
            (json!({"$eq": [{"$field": "age"}, {"$literal": 7}]}), true),
            (
                json!({"$eq": [{"$field": "x"}, {"$literal": {"$undefined": null}}]}),
                true,
            ),
            (json!({"$neq": [{"$field": "x"}, {"$literal": null}]}), true),
            (json!({"$lt": [{"$field": "x"}, {"$literal": null}]}), true),
            (
                json!({"$lt": [{"$field": "count"}, {"$field": "age"}]}),
                true,
            ),
            (json!({"$lte": [{"$literal": 7}, {"$field": "age"}]}), true),
            (json!({"$gt": [{"$literal": "a"}, {"$field": "age"}]}), true),
            (json!({"$gte": [{"$literal": 6}, {"$field": "age"}]}), false),
        ];
        for (json, expected) in cases {
            assert_eq!(
                Expr::parse(&json).unwrap().is_true(&document()),
                Ok(expected),
                "{json}"
            );
        }
    }

    #[test]
    fn logic_needs_booleans_and_stops_early() {
        let (yes, no) = (json!({"$field": "ok"}), json!({"$not": {"$field": "ok"}}));
        let number = json!({"$field": "age"});
        let truth = |json: Json| Expr::parse(&json).unwrap().is_true(&document());
        assert_eq!(truth(json!({"$and": []})), Ok(true));
        assert_eq!(truth(json!({"$or": []})), Ok(false));
        assert_eq!(truth(json!({"$and": [yes, no]})), Ok(false));
        assert_eq!(truth(json!({"$or": [no, yes]})), Ok(true));
        assert_eq!(truth(json!({"$and": [no, number]})), Ok(false));
        assert_eq!(truth(json!({"$or": [yes, number]})), Ok(true));
        for bad in [
            json!({"$and": [yes, number]}),
            json!({"$not": number}),
            number,
        ] {
            let error = truth(bad).unwrap_err().to_string();
            assert!(error.contains("got 7.0"), "{error}");
        }
        let error = truth(json!({"$field": "x"})).unwrap_err().to_string();
        assert!(error.contains("got undefined"), "{error}");
    }

    #[test]
    fn arithmetic_keeps_types_apart() {
        let number = |operator: &str, left: f64, right: f64| {
            eval(&json!({operator: [{"$literal": left}, {"$literal": right}]})).unwrap()
        };
        assert_eq!(number("$add", 1.5, 2.0), Some(Value::Float64(3.5)));
        assert_eq!(number("$sub", 1.5, 2.0), Some(Value::Float64(-0.5)));
        assert_eq!(number("$mul", 1.5, 2.0), Some(Value::Float64(3.0)));
        assert_eq!(
            number("$div", 1.0, 0.0),
            Some(Value::Float64(f64::INFINITY))
        );
        assert_eq!(number("$mod", -7.0, 4.0), Some(Value::Float64(-3.0)));
        assert_eq!(
            eval(&json!({"$neg": {"$field": "age"}})),
            Ok(Some(Value::Float64(-7.0)))
        );
        let one = json!({"$literal": {"$integer": "AQAAAAAAAAA="}});
        let zero = json!({"$literal": {"$integer": "AAAAAAAAAAA="}});
        let count = json!({"$field": "count"});
        let less = eval(&json!({"$sub": [count, one]}));
        assert_eq!(less, Ok(Some(Value::Int64(i64::MAX - 1))));
        for (operator, right) in [
            ("$add", one.clone()),
            ("$div", zero.clone()),
            ("$mod", zero),
        ] {
            let error = eval(&json!({operator: [count, right]})).unwrap_err();
            assert!(matches!(error, FilterError::Overflow { .. }), "{error}");
        }
        let mixed = eval(&json!({"$add": [one, {"$literal": 1}]}));
        assert!(matches!(mixed, Err(FilterError::NotNumbers { .. })));
        assert!(matches!(
            eval(&json!({"$neg": {"$field": "x"}})),
            Err(FilterError::NotNumbers { .. })
        ));
    }

    #[test]
    fn other_json_is_not_an_expression() {
        for json in [
            json!(null),
            json!(true),
            json!({}),
            json!({"$eq": [{"$literal": 1}]}),
            json!({"$eq": {"$literal": 1}}),
            json!({"$eq": [], "$neq": []}),
            json!({"$and": {}}),
            json!({"$field": 1}),
            json!({"$field": "a..b"}),
            json!({"$literal": {"$integer": 1}}),
            json!({"$like": []}),
        ] {
            assert!(Expr::parse(&json).is_err(), "{json}");
        }
        let deep = (0..200).fold(json!({"$field": "a"}), |inner, _| json!({"$not": inner}));
        assert!(matches!(Expr::parse(&deep), Err(ExprError::TooNested)));
    }

    proptest! {
        #[test]
        fn parsing_and_evaluating_never_panic(json in any_json()) {
            if let Ok(expr) = Expr::parse(&json) {
                let _ = expr.eval(&document());
            }
        }

        #[test]
        fn comparisons_follow_the_total_order(
            left in any_optional_value(), right in any_optional_value(),
        ) {
            let order = compare(left.as_ref(), right.as_ref());
            let operands = Box::new([Expr::Literal(left), Expr::Literal(right)]);
            let less = Expr::Compare(Comparison::Less, operands.clone());
            let equal = Expr::Compare(Comparison::Equal, operands);
            prop_assert_eq!(less.is_true(&Value::Null), Ok(order.is_lt()));
            prop_assert_eq!(equal.is_true(&Value::Null), Ok(order.is_eq()));
        }
    }
}

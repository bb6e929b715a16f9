//! The tables that every deployment has besides its own. Functions read them by `ctx.db.system`,
//! and nothing writes them through `ctx.db`.

/// The names of the tables, with the numbers in the ids of their documents.
const TABLES: [(&str, u32); 2] = [("_scheduled_functions", 539), ("_storage", 540)];

/// Whether the name is one that tables of the system have; not all such names are tables.
pub fn is_system_name(name: &str) -> bool {
    name.starts_with('_')
}

/// The number of a system table.
pub fn number(name: &str) -> Option<u32> {
    TABLES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// The name of the system table with this number.
pub fn name(number: u32) -> Option<&'static str> {
    TABLES
        .iter()
        .find(|(_, known)| *known == number)
        .map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_ids_in_the_wild_have() {
        assert_eq!(number("_storage"), Some(540));
        assert_eq!(number("_scheduled_functions"), Some(539));
        assert_eq!(number("_other"), None);
        assert_eq!(name(540), Some("_storage"));
        assert_eq!(name(10_001), None);
        assert!(is_system_name("_other") && !is_system_name("storage"));
    }
}

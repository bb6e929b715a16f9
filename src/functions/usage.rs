//! What the functions of one transaction have used of its limits.
//!
//! The functions that a function calls share its counters. A call may be given tighter limits of its
//! own: they count from where the call begins.

use pg_live_values::Value;
use serde_json::{Value as Json, json};

use crate::gucs;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Bytes of documents read.
    BytesRead,
    /// Bytes of documents written.
    BytesWritten,
    /// Ranges of indexes read.
    DatabaseQueries,
    /// Documents read, before filters.
    DocumentsRead,
    /// Documents inserted, changed or deleted.
    DocumentsWritten,
    /// Calls put off until later.
    FunctionsScheduled,
    /// Bytes of the arguments of those.
    ScheduledFunctionArgsBytes,
    /// Files stored.
    FilesWritten,
    /// Bytes of those.
    FileWriteBytes,
    /// Files read.
    FilesRead,
    /// Bytes of those.
    FileReadBytes,
}

use Resource as R;

/// All of them, in the order of their numbers.
const ALL: [Resource; 11] = [
    R::BytesRead,
    R::BytesWritten,
    R::DatabaseQueries,
    R::DocumentsRead,
    R::DocumentsWritten,
    R::FunctionsScheduled,
    R::ScheduledFunctionArgsBytes,
    R::FilesWritten,
    R::FileWriteBytes,
    R::FilesRead,
    R::FileReadBytes,
];

impl Resource {
    /// The name in `ctx.meta.getTransactionMetrics()` and in `transactionLimits`.
    fn name(self) -> &'static str {
        match self {
            R::BytesRead => "bytesRead",
            R::BytesWritten => "bytesWritten",
            R::DatabaseQueries => "databaseQueries",
            R::DocumentsRead => "documentsRead",
            R::DocumentsWritten => "documentsWritten",
            R::FunctionsScheduled => "functionsScheduled",
            R::ScheduledFunctionArgsBytes => "scheduledFunctionArgsBytes",
            R::FilesWritten => "filesWritten",
            R::FileWriteBytes => "fileWriteBytes",
            R::FilesRead => "filesRead",
            R::FileReadBytes => "fileReadBytes",
        }
    }

    /// The limit of a transaction.
    fn limit(self) -> usize {
        match self {
            R::BytesRead => gucs::max_bytes_read(),
            R::BytesWritten => gucs::max_bytes_written(),
            R::DatabaseQueries => gucs::max_database_queries(),
            R::DocumentsRead => gucs::max_documents_read(),
            R::DocumentsWritten => gucs::max_documents_written(),
            R::FunctionsScheduled => 1000,
            R::ScheduledFunctionArgsBytes => 16 << 20,
            // There is no file storage.
            R::FilesWritten | R::FileWriteBytes | R::FilesRead | R::FileReadBytes => 0,
        }
    }

    /// What is counted, in words, and the unit of the limit.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            R::BytesRead => ("bytes read", " bytes"),
            R::BytesWritten => ("bytes written", " bytes"),
            R::DatabaseQueries => ("reads", ""),
            R::DocumentsRead => ("documents read", ""),
            R::DocumentsWritten => ("documents written", ""),
            R::FunctionsScheduled => ("functions scheduled", ""),
            R::ScheduledFunctionArgsBytes => ("bytes of scheduled arguments", " bytes"),
            R::FilesWritten => ("files written", ""),
            R::FileWriteBytes => ("bytes of files written", " bytes"),
            R::FilesRead => ("files read", ""),
            R::FileReadBytes => ("bytes of files read", " bytes"),
        }
    }

    fn advice(self) -> &'static str {
        match self {
            R::BytesRead | R::DatabaseQueries | R::DocumentsRead => {
                "Consider using smaller limits in your queries, paginating them, or an index with a \
                 narrow range."
            }
            R::BytesWritten
            | R::DocumentsWritten
            | R::FunctionsScheduled
            | R::ScheduledFunctionArgsBytes
            | R::FilesWritten
            | R::FileWriteBytes
            | R::FilesRead
            | R::FileReadBytes => "Split the work over several functions.",
        }
    }

    fn number(self) -> usize {
        self as usize
    }
}

/// One counter and the limit in force.
#[derive(Clone, Copy)]
struct Meter {
    used: usize,
    /// What had been used when the limit began to count.
    before: usize,
    limit: usize,
}

impl Meter {
    fn remaining(&self) -> usize {
        (self.before + self.limit).saturating_sub(self.used)
    }
}

/// The limits in force before a call, to be put back after it.
pub(crate) struct Before([(usize, usize); ALL.len()]);

/// What had been written at some point.
#[derive(Clone, Copy)]
pub(crate) struct Written([usize; 2]);

/// The counters of a transaction.
#[derive(Clone)]
pub(crate) struct Usage([Meter; ALL.len()]);

impl Usage {
    /// Nothing used yet; the limits are those of the settings.
    pub(crate) fn new() -> Usage {
        Usage(ALL.map(|resource| Meter {
            used: 0,
            before: 0,
            limit: resource.limit(),
        }))
    }

    /// How much has been used.
    pub(crate) fn used(&self, resource: Resource) -> usize {
        self.0[resource.number()].used
    }

    /// Counts; the error is the message for the function.
    pub(crate) fn add(&mut self, resource: Resource, amount: usize) -> Result<(), String> {
        let meter = &mut self.0[resource.number()];
        meter.used += amount;
        if meter.used <= meter.before + meter.limit {
            return Ok(());
        }
        let ((what, unit), limit) = (resource.words(), meter.limit);
        Err(format!(
            "Too many {what} in a single function execution (limit: {limit}{unit}). {}",
            resource.advice()
        ))
    }

    /// Counts a document that was read.
    pub(crate) fn add_read(&mut self, document: &Value) -> Result<(), String> {
        self.add(R::DocumentsRead, 1)?;
        self.add(R::BytesRead, document.size())
    }

    /// How many more documents, and bytes of them, may be read.
    pub(crate) fn reads_left(&self) -> (usize, usize) {
        let left = |resource: Resource| self.0[resource.number()].remaining();
        (left(R::DocumentsRead), left(R::BytesRead))
    }

    /// Counts a document that is written.
    pub(crate) fn add_write(&mut self, document: &Value) -> Result<(), String> {
        self.add(R::DocumentsWritten, 1)?;
        self.add(R::BytesWritten, document.size())
    }

    /// Puts the limits of `transactionLimits` in force where they are tighter than the present ones.
    ///
    /// # Errors
    /// The message for the function, if it is not an object of numbers.
    pub(crate) fn narrow(&mut self, limits: &Json) -> Result<Before, String> {
        let before = Before(self.0.map(|meter| (meter.before, meter.limit)));
        let fields = match limits {
            Json::Null => return Ok(before),
            Json::Object(fields) => fields,
            _ => return Err("Invalid transactionLimits: expected an object".to_owned()),
        };
        let mut tighter = self.0;
        for (name, limit) in fields {
            let resource = ALL.into_iter().find(|resource| resource.name() == name);
            let resource = resource.ok_or_else(|| {
                format!("Invalid transactionLimits: there is no limit named {name}")
            })?;
            let limit = limit
                .as_f64()
                .filter(|limit| *limit >= 0.0)
                .ok_or_else(|| {
                    format!(
                        "Invalid transactionLimits: {name} must be a number that is not negative"
                    )
                })?;
            let meter = &mut tighter[resource.number()];
            let limit = limit as usize; // saturates
            if limit < meter.remaining() {
                (meter.before, meter.limit) = (meter.used, limit);
            }
        }
        self.0 = tighter;
        Ok(before)
    }

    /// Puts the limits back that were in force before; what was used stays counted.
    pub(crate) fn widen(&mut self, before: &Before) {
        for (meter, limits) in self.0.iter_mut().zip(&before.0) {
            (meter.before, meter.limit) = *limits;
        }
    }

    /// What has been written so far.
    pub(crate) fn written(&self) -> Written {
        Written([R::DocumentsWritten, R::BytesWritten].map(|r| self.0[r.number()].used))
    }

    /// After a rollback to the point where `written` was noted.
    pub(crate) fn unwrite(&mut self, written: Written) {
        for (resource, used) in [R::DocumentsWritten, R::BytesWritten]
            .into_iter()
            .zip(written.0)
        {
            self.0[resource.number()].used = used;
        }
    }

    /// `ctx.meta.getTransactionMetrics()`
    pub(crate) fn metrics(&self) -> Json {
        let metric = |resource: &Resource| {
            let meter = &self.0[resource.number()];
            let metric = json!({"used": meter.used, "remaining": meter.remaining()});
            (resource.name().to_owned(), metric)
        };
        Json::Object(ALL.iter().map(metric).collect())
    }

    /// A log line for each limit of which more than four fifths are used.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let near = |resource: &&Resource| {
            let meter = &self.0[resource.number()];
            meter.used > 0 && meter.used * 5 > meter.limit * 4
        };
        let line = |resource: &Resource| {
            let ((what, unit), meter) = (resource.words(), &self.0[resource.number()]);
            format!(
                "[WARN] Many {what} in a single function execution (actual: {}{unit}, limit: \
                 {}{unit}). {}",
                meter.used,
                meter.limit,
                resource.advice()
            )
        };
        ALL.iter().filter(near).map(line).collect()
    }
}

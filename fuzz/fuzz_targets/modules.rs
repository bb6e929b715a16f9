//! JavaScript that is deployed: what is added to it leaves a module that can be read, with the same lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(guarded) = pg_live_guard::guard(text) {
        let lines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        assert_eq!(lines(&guarded.source), lines(text));
        // It uses names now that modules may not use.
        let again = pg_live_guard::guard(&guarded.source);
        assert!(
            !matches!(again, Err(pg_live_guard::Refusal::Syntax(_))),
            "{again:?}\n{}",
            guarded.source
        );
    }
});

//! Sections of the stable format whose parts are not in this build. They are checked like any other, so that a mistake
//! in them shows now, and then refused, so that nobody relies on what does not run.

use super::reader::Section;

pub(super) fn read(root: &mut Section<'_>) {
    for (key, what) in [("policy", "policies beyond the built-in ones are"), ("telemetry", "OpenTelemetry export is")] {
        if root.given_section(key).is_some_and(|section| !section.is_empty()) {
            root.problem_at(key, format!("{what} not in this build: remove what stands under it"));
        }
    }
}

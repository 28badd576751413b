//! Button of the console, which is a form with one button.

use std::fmt::Write as _;

use crate::mock::html::Text;

/// Renders a button that sends `action` and `fields` by POST.
pub(super) fn button(action: &str, fields: &[(&str, &str)], label: &str) -> String {
    let mut form = format!(
        "<form method=\"post\"><input type=\"hidden\" name=\"act\" value=\"{}\">",
        Text(action)
    );
    for (name, value) in fields {
        let _ = write!(
            form,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            Text(name),
            Text(value)
        );
    }
    let _ = write!(form, "<button>{}</button></form>", Text(label));
    form
}

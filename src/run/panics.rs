//! Panics, which are bugs: each is reported in one line, with its place and message.

use std::any::Any;
use std::panic::PanicHookInfo;
use std::thread::current;

use super::output::print_err;

/// Prints each panic from now on as one line, without secrets, and its backtrace if `RUST_BACKTRACE` asks for it.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo| {
        let place =
            info.location().map_or_else(String::new, |at| format!(" at {}:{}:{}", at.file(), at.line(), at.column()));
        let (thread, what) = (current().name().unwrap_or("?").to_owned(), message(info.payload()));
        print_err(format_args!("error: internal error: thread '{thread}' panicked{place}: {what}"));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            print_err(std::backtrace::Backtrace::force_capture());
        }
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn a_panic_is_reported_with_its_message() {
        assert_eq!(message(&"a vector is too long"), "a vector is too long");
        assert_eq!(message(&"a vector is too long".to_owned()), "a vector is too long");
        assert_eq!(message(&7), "without a message");
    }
}

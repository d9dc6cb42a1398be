use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// Longer values are none of W3C's and are left behind.
const LONGEST_PARENT: usize = 128;
const LONGEST_STATE: usize = 512;

const PROTOBUF: &str = "application/x-protobuf";
const PERSISTENT: u8 = 2;

/// W3C Trace Context as it travels with a message; this crate passes it on and reads nothing in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The header `traceparent`.
    pub traceparent: String,
    /// The header `tracestate`, if there is one.
    pub tracestate: Option<String>,
}

impl TraceContext {
    pub(crate) fn read(headers: &FieldTable) -> Option<Self> {
        let traceparent = text(headers, PARENT).filter(|text| text.len() <= LONGEST_PARENT)?;
        let tracestate = text(headers, STATE).filter(|text| text.len() <= LONGEST_STATE);
        Some(Self { traceparent, tracestate })
    }

    pub(crate) fn write(&self, headers: &mut FieldTable) {
        put(headers, PARENT, &self.traceparent);
        if let Some(state) = &self.tracestate {
            put(headers, STATE, state);
        }
    }
}

/// What every message of ours carries.
pub(crate) fn properties(kind: &str, headers: FieldTable) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(PROTOBUF.into())
        .with_type(kind.into())
        .with_headers(headers)
}

pub(crate) fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

pub(crate) fn put(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_comes_back_and_an_absurd_one_is_left_behind() {
        let trace = TraceContext { traceparent: "00-a-b-01".to_owned(), tracestate: Some("v=1".to_owned()) };
        let mut headers = FieldTable::default();
        trace.write(&mut headers);
        assert_eq!(TraceContext::read(&headers), Some(trace));
        put(&mut headers, STATE, &"v".repeat(513));
        assert_eq!(TraceContext::read(&headers).and_then(|trace| trace.tracestate), None);
        put(&mut headers, PARENT, &"0".repeat(129));
        assert_eq!(TraceContext::read(&headers), None);
        assert_eq!(TraceContext::read(&FieldTable::default()), None);
    }
}

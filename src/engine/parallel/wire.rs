//! Operations and answers between processes: frames over TCP, a line of JSON and the bytes of tensors.
//!
//! What comes in is believed no further than its lengths: a frame that is too long is an error before anything is allocated.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::op::{Answer, Message, Op};
use crate::core::tensor::{DType, HostTensor};

/// Longest JSON part of a frame.
const HEAD: usize = 256 << 20;

/// What goes between two processes.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A rank comes to rank 0.
    Hello(Hello),
    /// Still there.
    Beat,
    /// Rank 0 has something to be done.
    Do(Message),
    /// A rank answers.
    Say(Answer),
    /// The run is over.
    Bye,
    /// The run cannot go on, and why.
    Abort(String),
}

/// Who comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What rank 0 has left in the store for its own.
    pub token: String,
    pub rank: usize,
    pub host: String,
    pub pid: u32,
    pub version: String,
}

#[derive(Serialize, Deserialize)]
enum Head {
    Hello(Hello),
    Beat,
    Do { op: Op, tensors: Vec<Meta> },
    Say(Answer),
    Bye,
    Abort(String),
}

#[derive(Serialize, Deserialize)]
struct Meta {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    bytes: usize,
}

fn bad(words: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidData, words.to_string())
}

/// Sends one.
pub fn write(to: &mut impl Write, frame: &Frame) -> Result<()> {
    let none = Arc::default();
    let (head, tensors): (Head, &Arc<Vec<HostTensor>>) = match frame {
        Frame::Hello(hello) => (Head::Hello(hello.clone()), &none),
        Frame::Beat => (Head::Beat, &none),
        Frame::Say(answer) => (Head::Say(answer.clone()), &none),
        Frame::Bye => (Head::Bye, &none),
        Frame::Abort(words) => (Head::Abort(words.clone()), &none),
        Frame::Do(message) => {
            let meta = |t: &HostTensor| Meta {
                name: t.name.clone(),
                dtype: t.dtype,
                shape: t.shape.clone(),
                bytes: t.data.len(),
            };
            let tensors = message.tensors.iter().map(meta).collect();
            (Head::Do { op: message.op.clone(), tensors }, &message.tensors)
        }
    };
    let head = serde_json::to_vec(&head).map_err(bad)?;
    let length = u32::try_from(head.len()).map_err(bad)?;
    let mut first = Vec::with_capacity(head.len() + 4);
    first.extend_from_slice(&length.to_le_bytes());
    first.extend_from_slice(&head);
    to.write_all(&first)?;
    tensors.iter().try_for_each(|t| to.write_all(&t.data))?;
    to.flush()
}

/// Receives one.
pub fn read(from: &mut impl Read) -> Result<Frame> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > HEAD {
        return Err(bad(format!("a frame of {length} bytes")));
    }
    let head = bytes(from, length)?;
    Ok(match serde_json::from_slice(&head).map_err(bad)? {
        Head::Hello(hello) => Frame::Hello(hello),
        Head::Beat => Frame::Beat,
        Head::Say(answer) => Frame::Say(answer),
        Head::Bye => Frame::Bye,
        Head::Abort(words) => Frame::Abort(words),
        Head::Do { op, tensors } => {
            let tensor = |m: Meta| {
                let Meta { name, dtype, shape, bytes: length } = m;
                let of_shape = shape.iter().try_fold(dtype.size(), |bytes, n| bytes.checked_mul(*n));
                if of_shape != Some(length) {
                    return Err(bad(format!("{length} bytes for a {dtype} tensor of shape {shape:?}")));
                }
                Ok(HostTensor { name, dtype, shape, data: bytes(from, length)? })
            };
            let tensors = tensors.into_iter().map(tensor).collect::<Result<_>>()?;
            Frame::Do(Message { op, tensors: Arc::new(tensors) })
        }
    })
}

/// So many bytes, of which none are had from the system before they come.
fn bytes(from: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    from.take(length as u64).read_to_end(&mut all)?;
    if all.len() < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::api::EvalSums;

    fn there_and_back(frame: &Frame) -> Frame {
        let mut wire = Vec::new();
        write(&mut wire, frame).unwrap();
        let mut rest = wire.as_slice();
        let back = read(&mut rest).unwrap();
        assert!(rest.is_empty());
        back
    }

    #[test]
    fn tensors_and_numbers_that_json_does_not_know_arrive_whole() {
        let tensors = vec![HostTensor::from_f32("a/b", &[2], &[f32::NAN, 1.0]), HostTensor::from_f32("c", &[0], &[])];
        let message = Message { op: Op::Weights, tensors: Arc::new(tensors) };
        match there_and_back(&Frame::Do(message.clone())) {
            Frame::Do(Message { op: Op::Weights, tensors }) => assert_eq!(tensors, message.tensors),
            other => panic!("{other:?}"),
        }
        for loss in [f64::NAN, f64::INFINITY, -0.0, 0.1] {
            let sums = EvalSums { samples: 3, loss, top1: Some(1), ..EvalSums::default() };
            match there_and_back(&Frame::Say(Answer::Sums(sums, Some([1, 2])))) {
                Frame::Say(Answer::Sums(back, Some([1, 2]))) => assert_eq!(back.loss.to_bits(), loss.to_bits()),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            there_and_back(&Frame::Say(Answer::Fingerprint(u64::MAX))),
            Frame::Say(Answer::Fingerprint(u64::MAX))
        ));
    }

    #[test]
    fn frames_that_lie_are_errors() {
        assert_eq!(read(&mut [0xff, 0xff, 0xff, 0xff].as_slice()).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&mut [5, 0, 0, 0, b'x'].as_slice()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for (shape, bytes, kind) in [
            ("[2250000000000]", 9_000_000_000_000_u64, ErrorKind::UnexpectedEof),
            ("[9]", 9_000_000_000_000, ErrorKind::InvalidData),
            ("[9223372036854775807,9223372036854775807]", 4, ErrorKind::InvalidData),
        ] {
            let tensor = format!(r#"{{"name":"a","dtype":"float32","shape":{shape},"bytes":{bytes}}}"#);
            let wire = framed(&format!(r#"{{"Do":{{"op":"Weights","tensors":[{tensor}]}}}}"#));
            assert_eq!(read(&mut wire.as_slice()).unwrap_err().kind(), kind, "{shape}");
        }
    }

    fn framed(head: &str) -> Vec<u8> {
        [&u32::try_from(head.len()).unwrap().to_le_bytes()[..], head.as_bytes()].concat()
    }

    fn frames() -> Vec<Vec<u8>> {
        let tensors =
            vec![HostTensor::from_f32("a/b", &[2, 1], &[f32::NAN, 1.0]), HostTensor::from_f32("c", &[0], &[])];
        let hello = Hello { token: "t".into(), rank: 1, host: "h".into(), pid: 7, version: "0.1.0".into() };
        let all = [
            Frame::Hello(hello),
            Frame::Do(Message { op: Op::Weights, tensors: Arc::new(tensors) }),
            Frame::Say(Answer::Sums(EvalSums { samples: 3, loss: 0.5, ..EvalSums::default() }, Some([1, 2]))),
            Frame::Abort("words".into()),
        ];
        let bytes = |frame| {
            let mut wire = Vec::new();
            write(&mut wire, frame).unwrap();
            wire
        };
        all.iter().map(bytes).collect()
    }

    proptest::proptest! {
        /// Whatever comes is a frame or an error, and a frame goes on as it came.
        #[test]
        fn changed_frames_are_frames_or_errors(
            which in 0..4_usize,
            changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 0..4),
            cut in proptest::option::of(proptest::prelude::any::<proptest::sample::Index>()),
        ) {
            let mut wire = frames().swap_remove(which);
            for (at, to) in changes {
                let at = at.index(wire.len());
                wire[at] = to;
            }
            wire.truncate(cut.map_or(wire.len(), |cut| cut.index(wire.len())));
            if let Ok(frame) = read(&mut wire.as_slice()) {
                let mut again = Vec::new();
                write(&mut again, &frame).unwrap();
                read(&mut again.as_slice()).unwrap();
            }
        }
    }
}

//! The machine's opcodes, what it pays for, and what it keeps instead of running it.

use std::io::Cursor;

use super::*;
use crate::core::weights::source::Budget;
use crate::core::weights::trouble::{Result, Trouble};

fn run_within(pickle: &[u8], budget: &Budget) -> Result<Loaded> {
    load(&mut Input::new(Cursor::new(pickle.to_vec()), pickle.len() as u64), budget)
}

/// The value of a pickle, without its STOP.
fn value(ops: &[u8]) -> Loaded {
    run_within(&[ops, b"."].concat(), &Budget::for_size(0)).unwrap_or_else(|e| panic!("{ops:?}: {e:?}"))
}

fn words(ops: &[u8]) -> String {
    match run_within(&[ops, b"."].concat(), &Budget::for_size(0)) {
        Err(Trouble::Damaged(words) | Trouble::Refused(words)) => words,
        Err(other) => panic!("{ops:?}: {other:?}"),
        Ok(loaded) => panic!("{ops:?} is {}", show(&loaded.heap, loaded.root)),
    }
}

/// As Python would print it, objects as `<class args state>`.
fn show(heap: &Heap, id: Id) -> String {
    let all = |ids: &[Id]| ids.iter().map(|i| show(heap, *i)).collect::<Vec<_>>().join(", ");
    let pairs = || heap.pairs(id).iter().map(|(k, v)| format!("{}: {}", show(heap, *k), show(heap, *v)));
    match heap.get(id) {
        Value::None => "None".into(),
        Value::Bool(b) => if b { "True" } else { "False" }.into(),
        Value::Int(n) => n.to_string(),
        Value::Big(span) => format!("big{:?}", heap.bytes(span)),
        Value::Float(x) => format!("{x:?}"),
        Value::Str(span) => format!("'{}'", heap.text(span)),
        Value::Bytes(span) => format!("b{:?}", heap.bytes(span)),
        Value::Tuple(_) => format!("({})", all(heap.items(id))),
        Value::List(_) => format!("[{}]", all(heap.items(id))),
        Value::Dict(_) => format!("{{{}}}", pairs().collect::<Vec<_>>().join(", ")),
        Value::Global(span) => format!("@{}", heap.text(span)),
        Value::Storage(n) => {
            let s = heap.storage(n).unwrap();
            format!("storage {} {} {}+{}/{}", heap.text(s.key), s.element.name(), s.base, s.numel, s.whole)
        }
        Value::Tensor(n) => {
            let t = heap.tensor(n).unwrap();
            let refused = t.refused.map(|r| format!(" {r}")).unwrap_or_default();
            format!("tensor {} +{} {:?} {:?}{refused}", t.element.name(), t.offset, heap.sizes(t), heap.strides(t))
        }
        Value::Object(n) => {
            let object = heap.object(id).unwrap();
            assert!(n < 100);
            let state = object.state.map(|s| format!(" {}", show(heap, s))).unwrap_or_default();
            let items = pairs().map(|p| format!(" {p}")).collect::<String>();
            let list = heap.items(id).iter().map(|i| format!(" {}", show(heap, *i))).collect::<String>();
            format!("<{} {}{state}{items}{list}>", show(heap, object.class), show(heap, object.args))
        }
    }
}

fn shows(ops: &[u8], expected: &str) {
    let loaded = value(ops);
    assert_eq!(show(&loaded.heap, loaded.root), expected, "{:?}", String::from_utf8_lossy(ops));
}

/// What CPython's `pickle.dumps` writes for these values in each protocol (and what `pickletools.dis` calls the opcodes).
#[test]
fn constants_and_numbers() {
    shows(b"N", "None");
    shows(b"\x88", "True");
    shows(b"\x89", "False");
    shows(b"I01\n", "True");
    shows(b"I00\n", "False");
    shows(b"I-7\n", "-7");
    shows(b"L12345678901L\n", "12345678901");
    shows(b"K\xff", "255");
    shows(b"M\x34\x12", "4660");
    shows(b"J\xfe\xff\xff\xff", "-2");
    shows(b"\x8a\x00", "0");
    shows(b"\x8a\x01\xff", "-1");
    shows(b"\x8a\x02\xff\x00", "255");
    shows(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "9223372036854775807");
    shows(b"\x8a\x09\0\0\0\0\0\0\0\x80\0", "big[0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0]");
    shows(b"\x8b\x02\0\0\0\x00\x01", "256");
    shows(b"I9223372036854775808\n", "big[0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0]");
    shows(b"G\x3f\xf8\0\0\0\0\0\0", "1.5");
    shows(b"F-2.5\n", "-2.5");
    shows(b"Fnan\n", "NaN");
    shows(b"\x80\x04\x95\x02\0\0\0\0\0\0\0K\x05", "5");
}

#[test]
fn texts_and_bytes() {
    for op in [
        &b"X\x03\0\0\0abc"[..],
        b"\x8c\x03abc",
        b"\x8d\x03\0\0\0\0\0\0\0abc",
        b"T\x03\0\0\0abc",
        b"U\x03abc",
        b"Vabc\n",
        b"S'abc'\n",
        b"S\"abc\"\n",
    ] {
        shows(op, "'abc'");
    }
    for op in [
        &b"B\x02\0\0\0\x01\xff"[..],
        b"C\x02\x01\xff",
        b"\x8e\x02\0\0\0\0\0\0\0\x01\xff",
        b"\x96\x02\0\0\0\0\0\0\0\x01\xff",
    ] {
        shows(op, "b[1, 255]");
    }
    shows(b"S'a\\x41\\n\\\\\\'\\q'\n", "'aA\n\\'\\q'");
    shows("X\u{5}\0\0\0é∞".as_bytes(), "'é∞'");
    shows(b"X\x02\0\0\0\xffa", "'\u{fffd}a'");
    // `_codecs.encode('é\x00', 'latin1')` is how protocol 2 writes bytes.
    shows("c_codecs\nencode\n(X\u{3}\0\0\0é\0X\u{6}\0\0\0latin1tR".as_bytes(), "b[233, 0]");
}

#[test]
fn containers_and_the_stack() {
    shows(b")", "()");
    shows(b"K\x01\x85", "(1)");
    shows(b"K\x01K\x02\x86", "(1, 2)");
    shows(b"K\x01K\x02K\x03\x87", "(1, 2, 3)");
    shows(b"(K\x01K\x02K\x03K\x04t", "(1, 2, 3, 4)");
    shows(b"]K\x01a(K\x02K\x03e", "[1, 2, 3]");
    shows(b"(K\x01K\x02l", "[1, 2]");
    shows(b"\x8f(K\x01\x90", "[1]");
    shows(b"(K\x01\x91", "[1]");
    shows(b"}K\x01K\x02s(K\x03K\x04K\x05K\x06u", "{1: 2, 3: 4, 5: 6}");
    shows(b"(K\x01K\x02d", "{1: 2}");
    shows(b"K\x01K\x020", "1");
    shows(b"K\x01(K\x02K\x031", "1");
    shows(b"K\x01(0", "1");
    shows(b"K\x072\x86", "(7, 7)");
}

#[test]
fn the_memo_gives_the_same_value_again() {
    shows(b"]q\x00h\x00h\x00\x86h\x00K\x06a0\x86", "([6], ([6], [6]))");
    shows(b"K\x09r\x00\x00\x01\x000j\x00\x00\x01\x00", "9");
    shows(b"K\x09p12\n0g12\n", "9");
    shows(b"K\x09\x94K\x08\x9400h\x00h\x01\x86", "(9, 8)");
    assert!(words(b"h\x00").contains("recalls value 0, which it never remembered"));
    // A list in itself: nothing is recursive, so it is held and can be looked at.
    let loaded = value(b"]q\x00h\x00a");
    assert_eq!(loaded.heap.items(loaded.root), [loaded.root]);
}

#[test]
fn what_lacks_its_operands_is_wrong_by_name_and_place() {
    for ops in [
        &b""[..],
        b"0",
        b"2",
        b"a",
        b"]a",
        b"s",
        b"}Ns",
        b"R",
        b"Nb",
        b"b",
        b"\x85",
        b"N\x86",
        b"q\x00",
        b"Q",
        b"\x93",
        b"(o",
        b"N(a",
        b"(\x85",
    ] {
        assert!(words(ops).contains("an operation lacks its operands"), "{ops:?}: {}", words(ops));
    }
    for ops in [&b"t"[..], b"l", b"d", b"e", b"u", b"1", b"Nia\nb\n"] {
        assert!(words(ops).contains("lacks its mark"), "{ops:?}: {}", words(ops));
    }
    assert!(words(b"K\x01K\x02a").contains("what is no list is appended to"));
    assert!(words(b"K\x01K\x02K\x03s").contains("what is no dict is given items"));
    assert!(words(b"}(Nu").contains("a dict has a key without a value"));
    assert!(words(b"K\x01K\x02\x93").contains("a class's name is no text"));
    assert!(words(b"\xff").contains("wrong before byte 1: there is no opcode 0xff"));
    assert!(words(b"\x80\x06").contains("protocol 6"));
    assert!(words(b"X\x05\0\0\0abc").contains("claims a text of 5 bytes at byte 5, where 4 are left"));
    assert!(words(b"Vabc").contains("endless line"));
    for (ops, said) in [
        (&b"\x82\x01"[..], "extension registry"),
        (b"\x83\x01\x01", "extension registry"),
        (b"\x84\x01\0\0\0", "extension registry"),
        (b"Pid\n", "persistent ids as text"),
        (b"\x97", "buffers outside"),
        (b"N\x98", "buffers outside"),
    ] {
        assert!(words(ops).contains(said), "{ops:?}: {}", words(ops));
    }
    let cut = run_within(b"K", &Budget::for_size(0));
    assert!(matches!(cut, Err(Trouble::Damaged(words)) if words.contains("ends too early")));
}

#[test]
fn foreign_classes_and_functions_are_kept_by_name_and_never_made() {
    shows(b"cos\nsystem\nX\x02\0\0\0ls\x85R", "<@os.system ('ls')>");
    shows(b"\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85\x81", "<@os.system ('ls')>");
    shows(b"(cos\nsystem\nX\x02\0\0\0lso", "<@os.system ('ls')>");
    shows(b"(X\x02\0\0\0lsios\nsystem\n", "<@os.system ('ls')>");
    shows(b"ca\nB\n)}K\x01K\x02s\x92", "<@a.B () {1: 2}>");
    shows(b"ca\nB\n)\x81}K\x01K\x02sb", "<@a.B () {1: 2}>");
    // Classes derived from dict and list.
    shows(b"ca\nB\n)\x81K\x01K\x02s", "<@a.B () 1: 2>");
    shows(b"ca\nB\n)\x81(K\x01K\x02e", "<@a.B () 1 2>");
    // Whatever is called, even a value that is no function.
    shows(b"K\x01)R", "<1 ()>");
    let loaded =
        value(b"cos\nsystem\n0cbuiltins\neval\n0cos\nsystem\n0ctorch\nFloatStorage\n0ccollections\nOrderedDict\n0N");
    assert_eq!(loaded.heap.foreign, ["os.system", "builtins.eval"]);
    // Names go into messages: on one line, not endless.
    let loaded = value(b"c\x1b[31m\rx\ny\n");
    assert_eq!(loaded.heap.foreign, ["?[31m?x.y"]);
    assert!(words(&[b"c".as_slice(), &vec![b'a'; 5000], b"\nb\n"].concat()).contains("endless"));
    let long = [b"X\x00\x10\0\0".as_slice(), &vec![b'a'; 4096], b"X\x01\0\0\0b\x93"].concat();
    assert!(words(&long).contains("endless name"));
}

#[test]
fn foreign_names_are_remembered_up_to_a_number() {
    let many: Vec<u8> = (0..1500).flat_map(|i| format!("ca\nb{i}\n0").into_bytes()).chain(*b"N").collect();
    assert_eq!(value(&many).heap.foreign.len(), 1000);
}

const STORAGE: &[u8] = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x0atQ";

#[test]
fn storages_and_tensors_are_references_into_the_file() {
    shows(STORAGE, "storage 7 float32 0+10/10");
    let tensor = |rest: &[u8]| [b"ctorch._utils\n_rebuild_tensor_v2\n(", STORAGE, rest, b"tR"].concat();
    shows(&tensor(b"K\x02K\x02K\x03\x86K\x03K\x01\x86\x89}"), "tensor float32 +2 [2, 3] [3, 1]");
    shows(&tensor(b"K\x00))\x89}"), "tensor float32 +0 [] []");
    shows(&tensor(b"K\x63K\x00K\x05\x86K\x01K\x01\x86\x89}"), "tensor float32 +99 [0, 5] [1, 1]");
    let parameter =
        [b"ctorch._utils\n_rebuild_parameter\n(".as_slice(), &tensor(b"K\x00K\x0a\x85K\x01\x85\x89}"), b"\x88}tR"]
            .concat();
    shows(&parameter, "tensor float32 +0 [10] [1]");
    for (rest, said) in [
        (&b"K\x02K\x09\x85K\x01\x85\x89}"[..], "of shape [9] reaches beyond its storage `7` of 10 elements"),
        (b"K\x00K\x03K\x03\x86K\x03K\x02\x86\x89}", "reaches beyond"),
        (b"K\x00K\x03\x85)\x89}", "not as many strides as sizes"),
        (b"J\xff\xff\xff\xffK\x03\x85K\x01\x85\x89}", "offset is no number"),
        (b"K\x00J\xff\xff\xff\xff\x85K\x01\x85\x89}", "sizes are no numbers"),
        (b"K\x00N)\x89}", "sizes are no tuple"),
        (b"K\x00", "lacks its storage, offset, size or stride"),
    ] {
        assert!(words(&tensor(rest)).contains(said), "{rest:?}: {}", words(&tensor(rest)));
    }
    assert!(words(b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR").contains("a tensor has no storage"));
    let endless = [b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(), &[b'N'; 17], b"tR"].concat();
    assert!(words(&endless).contains("made of 17 values"));
    assert!(
        words(b"(X\x07\0\0\0storagecos\nsystem\nX\x01\0\0\x007X\x03\0\0\0cpuK\x0atQ").contains("class `os.system`")
    );
    assert!(words(b"(X\x05\0\0\0otherK\x01tQ").contains("persistent ids that are not PyTorch's"));
    // A view of a storage, as files before PyTorch 0.4 have it.
    let view = |view: &[u8]| [&STORAGE[..STORAGE.len() - 2], view, b"tQ"].concat();
    shows(&view(b"(X\x01\0\0\x009K\x04K\x03t"), "storage 7 float32 4+3/10");
    assert!(words(&view(b"(X\x01\0\0\x009K\x04K\x07t")).contains("reaches beyond it"));
    // The same one again is the same one.
    let twice = value(&[STORAGE, STORAGE, b"\x86"].concat());
    assert_eq!(twice.heap.storages().len(), 1);
    let quantized = [b"ctorch._utils\n_rebuild_qtensor\n(", STORAGE, b"K\x00K\x0a\x85K\x01\x85NtR".as_slice()].concat();
    shows(&quantized, "tensor float32 +0 [10] [0] is quantized");
}

#[test]
fn pytorchs_own_containers_are_what_they_stand_for() {
    shows(b"ccollections\nOrderedDict\n)RK\x01K\x02s", "{1: 2}");
    shows(b"ccollections\nOrderedDict\n(](K\x01K\x02\x86K\x03K\x04\x86etR", "{1: 2, 3: 4}");
    shows(b"cbuiltins\nset\n(](K\x01etR", "[1]");
    shows(b"ctorch\nSize\n(K\x01K\x02\x86tR", "(1, 2)");
    shows(b"ccopyreg\n_reconstructor\n(ca\nB\ncbuiltins\nobject\nNtR", "<@a.B (@a.B, @builtins.object, None)>");
}

#[test]
fn what_is_kept_is_paid_for_first() {
    let cost = |ops: &[u8]| {
        let budget = Budget::for_size(0);
        let before = budget.left();
        run_within(&[ops, b"."].concat(), &budget).map(|_| before - budget.left())
    };
    // A small number costs its place on the stack alone, of which there is room for 16 at first.
    assert_eq!(cost(b"K\x07").unwrap(), 64);
    assert!(cost(b"J\0\0\x01\0").unwrap() >= 64 + 16);
    assert!(cost(&b"]".repeat(1000)).unwrap() >= 1000 * (24 + 16));
    assert!(cost(&[b"X\0\x10\0\0".as_slice(), &[b'a'; 4096]].concat()).unwrap() >= 4096);
    assert!(cost(&[b"N(".repeat(1000), b"N".to_vec()].concat()).unwrap() >= 1000 * 8);
    let memo: Vec<u8> = b"N".iter().copied().chain((0..200u8).flat_map(|n| [b'q', n])).collect();
    assert!(cost(&memo).unwrap() >= 200 * 32);
    // What is needed for a while only is given back.
    let line = [b"V".as_slice(), &[b'a'; 4096], b"\n"].concat();
    assert!((4096..3 * 4096).contains(&cost(&line).unwrap()));
    // Nothing left: the machine stops, whatever it was about to keep.
    for ops in [&b"J\0\0\x01\0"[..], b"]", b"}", b")", b"X\x01\0\0\0a", b"ca\nb\n", b"N", b"(", STORAGE, b"Vabc\n"] {
        let spent = Budget::for_size(0);
        spent.take(spent.left()).unwrap();
        let refused = run_within(&[ops, b"."].concat(), &spent);
        assert!(matches!(refused, Err(Trouble::Refused(words)) if words.contains("more memory")), "{ops:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    #[test]
    fn any_bytes_end_in_a_value_or_in_words(ops in proptest::collection::vec(proptest::sample::select(OPS), 0..60)) {
        let pickle = [ops.concat().as_slice(), b"."].concat();
        match run_within(&pickle, &Budget::for_size(0)) {
            Ok(loaded) => proptest::prop_assert!(loaded.heap.foreign.len() <= 60),
            Err(Trouble::Damaged(words) | Trouble::Refused(words)) => proptest::prop_assert!(!words.contains('\n')),
            Err(Trouble::Io(e)) => proptest::prop_assert!(false, "{}", e),
        }
    }
}

/// Operations that fit together often enough to get somewhere.
const OPS: &[&[u8]] = &[
    b"(",
    b"t",
    b"N",
    b"K\x01",
    b"]",
    b"}",
    b")",
    b"a",
    b"e",
    b"s",
    b"u",
    b"0",
    b"1",
    b"2",
    b"q\x01",
    b"h\x01",
    b"\x85",
    b"\x86",
    b"\x87",
    b"R",
    b"b",
    b"\x81",
    b"o",
    b"\x92",
    b"l",
    b"d",
    b"X\x01\0\0\0a",
    b"ca\nB\n",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    STORAGE,
    b"Q",
    b"\x93",
    b"\x94",
];

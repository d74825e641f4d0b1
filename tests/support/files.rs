//! Weights files made by hand, piece by piece, so that each piece can lie: pickles, zip archives, the stream of old `torch.save`, safetensors.

#![allow(dead_code, missing_docs, reason = "each test uses some of it")]

use std::io::Write;

/// A pickle under construction.
#[derive(Default, Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    /// Of protocol 2.
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.bytes_as(b'X', text.as_bytes())
    }

    /// BINUNICODE, BINBYTES and the like: an opcode, four bytes of length, the bytes.
    pub fn bytes_as(self, op: u8, bytes: &[u8]) -> Self {
        self.raw(&[op]).raw(&(bytes.len() as u32).to_le_bytes()).raw(bytes)
    }

    pub fn int(self, n: i32) -> Self {
        self.raw(b"J").raw(&n.to_le_bytes())
    }

    /// LONG1 of 16 bytes.
    pub fn long(self, n: i128) -> Self {
        self.raw(&[0x8a, 16]).raw(&n.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// The persistent id of a float32 storage.
    pub fn storage(self, key: &str, numel: i128) -> Self {
        self.raw(b"(").text("storage").global("torch", "FloatStorage").text(key).text("cpu").long(numel).raw(b"tQ")
    }

    pub fn numbers(self, numbers: &[i128]) -> Self {
        numbers.iter().fold(self.raw(b"("), |p, n| p.long(*n)).raw(b"t")
    }

    /// A float32 tensor in storage `key`.
    pub fn tensor(self, key: &str, numel: i128, offset: i128, sizes: &[i128], strides: &[i128]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(key, numel)
            .long(offset)
            .numbers(sizes)
            .numbers(strides)
            .raw(&[0x89])
            .raw(b"}tR")
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// `{name: tensor}` in storages `0`, `1`…, each of `numel` elements.
pub fn state_dict(tensors: &[(&str, i128)]) -> Vec<u8> {
    let mut p = Pickle::new().raw(b"}(");
    for (i, (name, numel)) in tensors.iter().enumerate() {
        p = p.text(name).tensor(&i.to_string(), *numel, 0, &[*numel], &[1]);
    }
    p.raw(b"u").end()
}

/// An entry of a zip archive, with everything that its headers say.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    /// As they lie in the archive.
    pub bytes: Vec<u8>,
    /// 0 stored, 8 deflated.
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    /// Unpacked, in the directory and in the local header.
    pub size: u64,
    pub local_size: u64,
    /// Packed.
    pub packed: u64,
    pub local_packed: u64,
    /// Replaces the true place of the local header.
    pub header: Option<u64>,
    /// Written with zip64 fields.
    pub zip64: bool,
}

impl Entry {
    pub fn stored(name: &str, bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        Self {
            name: name.as_bytes().to_vec(),
            bytes: bytes.to_vec(),
            method: 0,
            flags: 0,
            crc: crc32fast::hash(bytes),
            size,
            local_size: size,
            packed: size,
            local_packed: size,
            header: None,
            zip64: false,
        }
    }

    pub fn deflated(name: &str, bytes: &[u8]) -> Self {
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        Self::packed(name, packer.finish().unwrap(), bytes.len() as u64, crc32fast::hash(bytes))
    }

    /// Deflated already.
    pub fn packed(name: &str, packed: Vec<u8>, size: u64, crc: u32) -> Self {
        let length = packed.len() as u64;
        Self {
            method: 8,
            crc,
            size,
            local_size: size,
            packed: length,
            local_packed: length,
            ..Self::stored(name, &packed)
        }
    }
}

/// `length` times the same byte, deflated; and its checksum.
pub fn deflated_run(byte: u8, length: u64) -> (Vec<u8>, u32) {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let mut hash = crc32fast::Hasher::new();
    let block = vec![byte; 1 << 20];
    let mut left = length;
    while left > 0 {
        let n = left.min(block.len() as u64);
        packer.write_all(&block[..n as usize]).unwrap();
        hash.update(&block[..n as usize]);
        left -= n;
    }
    (packer.finish().unwrap(), hash.finalize())
}

/// Where the sections of an archive are.
#[derive(Debug, Default)]
pub struct Places {
    pub locals: Vec<usize>,
    pub data: Vec<usize>,
    pub centrals: Vec<usize>,
    pub end: usize,
}

pub fn zip(entries: &[Entry]) -> Vec<u8> {
    zip_places(entries).0
}

pub fn zip_places(entries: &[Entry]) -> (Vec<u8>, Places) {
    let mut out: Vec<u8> = Vec::new();
    let mut places = Places::default();
    let half = |n: u64, zip64: bool| if zip64 { u32::MAX } else { n as u32 };
    for e in entries {
        places.locals.push(out.len());
        let extra = if e.zip64 {
            [&[1u8, 0, 16, 0][..], &e.local_size.to_le_bytes(), &e.local_packed.to_le_bytes()].concat()
        } else {
            vec![]
        };
        out.extend(b"PK\x03\x04");
        for n in [if e.zip64 { 45 } else { 20 }, e.flags, e.method, 0, 0] {
            out.extend(n.to_le_bytes());
        }
        out.extend(e.crc.to_le_bytes());
        out.extend(half(e.local_packed, e.zip64).to_le_bytes());
        out.extend(half(e.local_size, e.zip64).to_le_bytes());
        out.extend((e.name.len() as u16).to_le_bytes());
        out.extend((extra.len() as u16).to_le_bytes());
        out.extend(&e.name);
        out.extend(extra);
        places.data.push(out.len());
        out.extend(&e.bytes);
    }
    let start = out.len() as u64;
    for (e, local) in entries.iter().zip(&places.locals) {
        places.centrals.push(out.len());
        let header = e.header.unwrap_or(*local as u64);
        let extra = if e.zip64 {
            [&[1u8, 0, 24, 0][..], &e.size.to_le_bytes(), &e.packed.to_le_bytes(), &header.to_le_bytes()].concat()
        } else {
            vec![]
        };
        out.extend(b"PK\x01\x02");
        for n in [45u16, if e.zip64 { 45 } else { 20 }, e.flags, e.method, 0, 0] {
            out.extend(n.to_le_bytes());
        }
        out.extend(e.crc.to_le_bytes());
        out.extend(half(e.packed, e.zip64).to_le_bytes());
        out.extend(half(e.size, e.zip64).to_le_bytes());
        out.extend((e.name.len() as u16).to_le_bytes());
        out.extend((extra.len() as u16).to_le_bytes());
        out.extend([0; 10]);
        out.extend(half(header, e.zip64).to_le_bytes());
        out.extend(&e.name);
        out.extend(extra);
    }
    places.end = out.len();
    let size = out.len() as u64 - start;
    out.extend(end_record(entries.len() as u16, size as u32, start as u32));
    (out, places)
}

pub fn end_record(entries: u16, size: u32, start: u32) -> Vec<u8> {
    let mut out = b"PK\x05\x06\0\0\0\0".to_vec();
    out.extend(entries.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// An archive of `torch.save` with this pickle and these storages.
pub fn torch_entries(pickle: &[u8], storages: &[&[u8]]) -> Vec<Entry> {
    let mut entries = vec![Entry::stored("archive/data.pkl", pickle), Entry::stored("archive/byteorder", b"little")];
    entries.extend(storages.iter().enumerate().map(|(i, s)| Entry::stored(&format!("archive/data/{i}"), s)));
    entries.push(Entry::stored("archive/version", b"3\n"));
    entries
}

pub fn torch_zip(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    zip(&torch_entries(pickle, storages))
}

/// The archive of a TorchScript module with parameters `weight` and `bias`.
pub fn script_entries() -> Vec<Entry> {
    let pickle = Pickle::new()
        .global("__torch__", "Net")
        .raw(b")\x81}(")
        .text("training")
        .raw(&[0x89])
        .text("weight")
        .tensor("0", 6, 0, &[2, 3], &[3, 1])
        .text("bias")
        .tensor("1", 2, 0, &[2], &[1])
        .raw(b"ub")
        .end();
    let code = "class Net(Module):\n  __parameters__ = [\"weight\", \"bias\", ]\n  __buffers__ = []\n  weight : Tensor\n  \
                bias : Tensor\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n";
    let mut entries = torch_entries(&pickle, &[&[1; 24], &[2; 8]]);
    entries.push(Entry::deflated("archive/code/__torch__.py", code.as_bytes()));
    entries.push(Entry::stored("archive/constants.pkl", b"\x80\x02)."));
    entries
}

/// The magic number, the protocol and the system of a file of `torch.save` before PyTorch 1.6.
pub fn legacy_start() -> Vec<u8> {
    let system =
        Pickle::new().raw(b"}(").text("protocol_version").int(1001).text("little_endian").raw(&[0x88]).raw(b"u").end();
    let magic = Pickle::new().raw(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19").end();
    [magic, Pickle::new().int(1001).end(), system].concat()
}

/// Such a file: the object's pickle, then storages as (key, claimed elements, bytes).
pub fn legacy(pickle: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    legacy_places(pickle, storages).0
}

/// With the places where a part ends.
pub fn legacy_places(pickle: &[u8], storages: &[(&str, u64, &[u8])]) -> (Vec<u8>, Vec<usize>) {
    let mut out = legacy_start();
    let mut places = vec![out.len()];
    out.extend(pickle);
    places.push(out.len());
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |p, (key, ..)| p.text(key)).raw(b"e").end();
    out.extend(keys);
    for (_, count, bytes) in storages {
        places.push(out.len());
        out.extend(count.to_le_bytes());
        places.push(out.len());
        out.extend(*bytes);
    }
    (out, places)
}

/// A safetensors file with this header.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Two small tensors.
pub fn small_safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}}"#;
    safetensors(header, &[3; 32])
}

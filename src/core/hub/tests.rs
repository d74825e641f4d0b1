use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::*;
use crate::core::recipe::Recipe;

/// What the server does with a request.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As it should.
    Good,
    /// It closes the connection after so many bytes of the body.
    Breaks(usize),
    /// It knows no ranges.
    Whole,
    /// It answers with this status.
    Status(u16),
    /// It sends other bytes.
    Damaged,
}

/// A server on loopback that handles one request after the other, each in its manner (the last one for all further ones).
fn serve(body: Vec<u8>, manners: Vec<Manner>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/models/", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let manner = manners.get(i).or(manners.last()).copied().unwrap();
            let mut lines = Vec::new();
            for line in BufReader::new(&stream).lines() {
                match line {
                    Ok(line) if !line.is_empty() => lines.push(line),
                    _ => break,
                }
            }
            let range = lines.iter().find_map(|l| {
                let (name, value) = l.split_once(':')?;
                name.eq_ignore_ascii_case("range").then(|| value.trim().to_owned())
            });
            log.lock().unwrap().push(format!("{} {}", lines[0], range.clone().unwrap_or_default()).trim().to_owned());
            let from = range.and_then(|r| r.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().ok());
            let from = from.filter(|_| manner != Manner::Whole);
            let (status, start) = match (manner, from) {
                (Manner::Status(code), _) => (code, body.len()),
                (_, Some(n)) if n >= body.len() => (416, body.len()),
                (_, Some(n)) => (206, n),
                (_, None) => (200, 0),
            };
            let mut part = body[start..].to_vec();
            if manner == Manner::Damaged {
                part[0] ^= 1;
            }
            let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", part.len());
            if status == 206 {
                head += &format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            }
            let _ = stream.write_all(format!("{head}\r\n").as_bytes());
            let sent = if let Manner::Breaks(n) = manner { n.min(part.len()) } else { part.len() };
            let _ = stream.write_all(&part[..sent]);
            let _ = stream.flush();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 64]);
        }
    });
    (base, seen)
}

/// Some bytes, and weights whose name holds their hash.
fn published(len: usize) -> (Vec<u8>, NamedWeights) {
    let body: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    let digest: String = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
    let file: &'static str = Box::leak(format!("small-{}.pth", &digest[..8]).into_boxed_str());
    (body, NamedWeights { file, ..*find("resnet18", "DEFAULT").unwrap() })
}

fn hub(folder: &Path, base: &str) -> Hub {
    Hub::from_vars(|name| match name {
        "TORCH_HOME" => Some(folder.as_os_str().to_owned()),
        "FROSTLINE_HUB_URL" => Some(base.into()),
        _ => None,
    })
    .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("hub/checkpoints")).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_fetched_once_and_then_found() {
    let (body, weights) = published(600_000);
    let (base, seen) = serve(body.clone(), vec![Manner::Good]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path(), &base);
    assert_eq!(hub.find(&weights).unwrap(), None);
    let mut reports = Vec::new();
    let path = hub.fetch(&weights, &mut |p| reports.push(p)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), body);
    assert_eq!(names(folder.path()), [weights.file]);
    assert_eq!(reports.first(), Some(&Progress { done: 0, total: Some(600_000) }));
    assert_eq!(reports.last(), Some(&Progress { done: 600_000, total: Some(600_000) }));
    assert_eq!(hub.fetch(&weights, &mut |_| panic!("it is there")).unwrap(), path);
    assert_eq!(*seen.lock().unwrap(), [format!("GET /models/{} HTTP/1.1", weights.file)]);
}

#[test]
fn a_broken_off_download_goes_on_where_it_was() {
    let (body, weights) = published(500_000);
    let (base, seen) = serve(body.clone(), vec![Manner::Breaks(200_000), Manner::Good]);
    let folder = tempfile::tempdir().unwrap();
    let path = hub(folder.path(), &base).fetch(&weights, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].ends_with("bytes=200000-"), "{seen:?}");
}

#[test]
fn what_a_killed_process_left_is_used_and_a_server_without_ranges_starts_anew() {
    for (manner, left, requests) in [(Manner::Good, 100, 1), (Manner::Whole, 100, 1), (Manner::Good, 300_000, 2)] {
        let (body, weights) = published(200_000);
        let (base, seen) = serve(body.clone(), vec![manner]);
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path(), &base);
        let checkpoints = folder.path().join("hub/checkpoints");
        std::fs::create_dir_all(&checkpoints).unwrap();
        let mut start = body.clone();
        start.resize(left, 0);
        std::fs::write(checkpoints.join(format!("{}.frostline-partial", weights.file)), start).unwrap();
        let path = hub.fetch(&weights, &mut |_| {}).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), body);
        assert_eq!(names(folder.path()), [weights.file]);
        assert_eq!(seen.lock().unwrap().len(), requests);
    }
}

#[test]
fn several_at_once_download_once() {
    let (body, weights) = published(300_000);
    let (base, seen) = serve(body.clone(), vec![Manner::Good]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path(), &base);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(std::fs::read(hub.fetch(&weights, &mut |_| {}).unwrap()).unwrap(), body));
        }
    });
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(names(folder.path()), [weights.file]);
}

#[test]
fn damage_is_found_and_nothing_of_it_stays() {
    let (body, weights) = published(50_000);
    let (base, _) = serve(body, vec![Manner::Damaged]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path(), &base);
    let error = hub.fetch(&weights, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("SHA-256 begins with") && error.contains("discarded"), "{error}");
    assert!(names(folder.path()).is_empty());
    // One that somebody else put there is not taken either, and not deleted.
    std::fs::write(hub.path(&weights), "<html>").unwrap();
    let error = hub.fetch(&weights, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("delete it"), "{error}");
    assert_eq!(names(folder.path()), [weights.file]);
}

#[test]
fn a_refusal_is_said_in_one_line_with_the_place_of_the_file() {
    let (body, weights) = published(10_000);
    let (base, seen) = serve(body.clone(), vec![Manner::Status(404)]);
    let folder = tempfile::tempdir().unwrap();
    let place = hub(folder.path(), &base);
    let error = place.fetch(&weights, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("HTTP 404") && error.contains(&place.path(&weights).display().to_string()), "{error}");
    assert!(!error.contains('\n'));
    assert_eq!(seen.lock().unwrap().len(), 1, "a file that is not there is not asked for again");
    assert!(names(folder.path()).is_empty());
    // Nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = hub(folder.path(), &format!("http://{nobody}")).fetch(&weights, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("without a network put that file at"), "{error}");
    // What came is kept for the next try.
    let (base, _) = serve(body, vec![Manner::Breaks(4_000), Manner::Status(503)]);
    let error = hub(folder.path(), &base).fetch(&weights, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("4000 bytes are kept"), "{error}");
}

#[test]
fn the_cache_is_where_torch_hub_has_it() {
    let at = |vars: &[(&str, &str)]| {
        let of = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
        Hub::from_vars(of).map(|h| h.folder.display().to_string()).map_err(|e| e.to_string())
    };
    assert_eq!(at(&[("HOME", "/h")]).unwrap(), "/h/.cache/torch/hub/checkpoints");
    assert_eq!(at(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap(), "/c/torch/hub/checkpoints");
    let all = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("TORCH_HOME", "~/t")];
    assert_eq!(at(&all).unwrap(), "/h/t/hub/checkpoints");
    assert!(at(&[]).unwrap_err().contains("TORCH_HOME"));
}

#[test]
fn names_are_torchvisions() {
    assert_eq!(find("resnet50", "DEFAULT").unwrap().name, "IMAGENET1K_V2");
    assert_eq!(find("resnet50", "IMAGENET1K_V1").unwrap().file, "resnet50-0676ba61.pth");
    assert_eq!(find("resnet18", "ResNet18_Weights.IMAGENET1K_V1").unwrap().sha256_prefix(), "f37072fd");
    let error = find("resnet18", "IMAGENET1K_V2").unwrap_err();
    assert!(error.contains("\"DEFAULT\", \"IMAGENET1K_V1\""), "{error}");
    assert!(find("mlp", "DEFAULT").unwrap_err().contains("publishes no weights for \"mlp\""));
    for weights in table::TABLE {
        assert!(weights.sha256_prefix().len() == 8, "{}", weights.file);
        assert_eq!(table::TABLE.iter().filter(|w| w.arch == weights.arch && w.default).count(), 1, "{}", weights.arch);
    }
    for (text, named) in [
        ("DEFAULT", true),
        ("IMAGENET1K_SWAG_E2E_V1", true),
        ("ResNet50_Weights.DEFAULT", true),
        ("ResNet50_Weights.IMAGENET1K_V2", true),
        ("flowers", true),
        ("a.pth", false),
        ("./flowers", false),
        ("last@120", false),
    ] {
        assert_eq!(is_name(text), named, "{text}");
    }
}

#[test]
fn old_names_are_the_present_ones() {
    let old = "features.denseblock1.denselayer1.norm.1.running_mean";
    assert_eq!(present_name("densenet121", old), "features.denseblock1.denselayer1.norm1.running_mean");
    let conv = "features.denseblock4.denselayer16.conv.2.weight";
    assert_eq!(present_name("densenet121", conv), "features.denseblock4.denselayer16.conv2.weight");
    assert_eq!(present_name("densenet121", "features.norm0.weight"), "features.norm0.weight");
    assert_eq!(present_name("resnet18", "a.norm.1.b"), "a.norm.1.b");
    let mlp = "encoder.layers.encoder_layer_11.mlp.linear_2.bias";
    assert_eq!(present_name("vit_b_16", mlp), "encoder.layers.encoder_layer_11.mlp.3.bias");
}

#[test]
fn named_weights_bring_their_preprocessing_unless_the_recipe_says_otherwise() {
    let data = |text: &str| Recipe::parse(text, "r.toml", Path::new("/"), &[]).unwrap().data;
    let model = "[model]\narch = 'resnet50'\nweights = 'DEFAULT'\n[data]\n";
    let made = data(model);
    assert_eq!((made.image_size, made.resize_size), (Some(224), Some(232)));
    assert_eq!(serde_json::to_value(&made.normalize).unwrap(), "imagenet");
    let own = data(&format!("{model}image_size = 64\nnormalize = 'none'\n"));
    assert_eq!((own.image_size, own.resize_size), (Some(64), None));
    assert_eq!(serde_json::to_value(&own.normalize).unwrap(), "none");
    let bicubic = data("[model]\narch = 'efficientnet_b0'\nweights = 'DEFAULT'\n");
    assert_eq!(bicubic.interpolation, Interpolation::Bicubic);
    // Resolved once, it stays as it is, and another size drops the size before cropping.
    let recipe = Recipe::parse(model, "r.toml", Path::new("/"), &[]).unwrap();
    assert_eq!(recipe.with_sets(&[]).unwrap(), recipe);
    let smaller = recipe.with_sets(&["data.image_size=96".to_owned()]).unwrap();
    assert_eq!((smaller.data.image_size, smaller.data.resize_size), (Some(96), None));
    let error = Recipe::parse("[model]\narch = 'resnet50'\nweights = 'DEFUALT'\n", "r.toml", Path::new("/"), &[]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("r.toml") && error.contains("IMAGENET1K_V2"), "{error}");
}

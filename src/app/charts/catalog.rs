//! Which charts there are: metrics that belong together share one.

/// One chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its name, as `loss` or `grad_norm`.
    pub name: String,
    /// Names of its metrics, in order.
    pub metrics: Vec<String>,
    /// Shown without being asked for.
    pub usual: bool,
}

/// Charts that are shown without being asked for, in this order.
const USUAL: [&str; 7] = ["loss", "accuracy", "lr", "grad_norm", "samples_per_s", "device load", "device memory"];

/// The chart that a metric belongs to.
fn chart_of(metric: &str) -> String {
    let last = metric.rsplit('/').next().unwrap_or(metric);
    if metric.starts_with("device/") {
        return match last {
            "load" | "util" | "utilization" => "device load".to_owned(),
            other => format!("device {other}"),
        };
    }
    match last {
        "loss" => "loss",
        "top1" | "accuracy" | "acc" => "accuracy",
        "lr" => "lr",
        _ if metric.starts_with("lr/") => "lr",
        _ => metric,
    }
    .to_owned()
}

/// The charts of these metrics, the usual ones first.
pub fn charts<'a>(metrics: impl IntoIterator<Item = &'a str>) -> Vec<Chart> {
    let mut charts: Vec<Chart> = Vec::new();
    for metric in metrics {
        let name = chart_of(metric);
        match charts.iter_mut().find(|c| c.name == name) {
            Some(chart) => chart.metrics.push(metric.to_owned()),
            None => {
                let usual = USUAL.contains(&name.as_str());
                charts.push(Chart { name, metrics: vec![metric.to_owned()], usual });
            }
        }
    }
    for chart in &mut charts {
        // What is learned from stands before what is measured.
        chart.metrics.sort_by_key(|m| (!m.starts_with("train/"), m.clone()));
    }
    let rank = |chart: &Chart| USUAL.iter().position(|u| *u == chart.name).unwrap_or(USUAL.len());
    charts.sort_by_key(|c| (rank(c), c.name.clone()));
    charts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_belong_together_share_a_chart_and_the_usual_ones_come_first() {
        let metrics = [
            "custom/f1",
            "device/cuda:0/load",
            "device/cuda:0/memory",
            "device/cuda:1/load",
            "grad_norm",
            "lr",
            "val/loss",
            "train/loss",
            "val/top1",
            "val/top5",
        ];
        let got = charts(metrics);
        let names: Vec<&str> = got.iter().map(|c| c.name.as_str()).collect();
        let usual = ["loss", "accuracy", "lr", "grad_norm", "device load", "device memory"];
        assert_eq!(names, [&usual[..], &["custom/f1", "val/top5"]].concat());
        assert_eq!(got[0].metrics, ["train/loss", "val/loss"]);
        assert_eq!(got[4].metrics, ["device/cuda:0/load", "device/cuda:1/load"]);
        assert_eq!(got.iter().filter(|c| c.usual).count(), 6);
    }
}

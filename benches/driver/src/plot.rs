//! Plots as SVG: bars for the workloads, lines for the pauses.

use std::fmt::Write;

use crate::cells::{Engine, Kind, Peer};
use crate::results::Results;

const BAR_HEIGHT: f64 = 15.0;
const PANEL_WIDTH: f64 = 430.0;
const LABEL_WIDTH: f64 = 105.0;
/// Bars that are longer are cut, with their figure at the end.
const LONGEST_OVER_TETHER: f64 = 8.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}\
.axis{stroke:#999;stroke-width:1}.grid{stroke:#ddd;stroke-width:1}";

/// A panel for each workload and engine, a bar for each peer: its median time, by
/// Tether's.
pub fn bars(results: &Results) -> String {
    let mut body = String::new();
    let mut top = 10.0;
    for id in ["w1", "w2", "w3", "w4", "w5", "w6"] {
        let heights = [Engine::Wasmtime, Engine::V8].map(|engine| {
            let left = 10.0 + f64::from(u8::from(engine == Engine::V8)) * (PANEL_WIDTH + 20.0);
            panel(&mut body, results, id, engine, left, top)
        });
        top += heights[0].max(heights[1]);
    }
    svg(2.0 * PANEL_WIDTH + 40.0, top, &body)
}

/// Draws a panel; gives its height.
fn panel(
    body: &mut String,
    results: &Results,
    id: &str,
    engine: Engine,
    left: f64,
    top: f64,
) -> f64 {
    let times: Vec<(Peer, f64)> = results
        .iter()
        .filter(|(cell, _)| cell.workload.id == id && cell.engine == engine)
        .map(|(cell, measured)| (cell.peer, measured.median_seconds(cell.workload.kind)))
        .collect();
    let Some(&(_, ours)) = times.iter().find(|(peer, _)| *peer == Peer::Tether) else {
        return 0.0;
    };
    let longest = times
        .iter()
        .map(|(_, seconds)| seconds / ours)
        .fold(1.0, f64::max)
        .min(LONGEST_OVER_TETHER);
    text(body, left, top + 12.0, "title", &format!("{id} on {}", engine.name()));
    for (row, (peer, seconds)) in times.iter().enumerate() {
        let y = top + 18.0 + row as f64 * (BAR_HEIGHT + 3.0);
        let ratio = seconds / ours;
        let scale = (PANEL_WIDTH - LABEL_WIDTH - 110.0) / longest;
        let width = ratio.min(LONGEST_OVER_TETHER) * scale;
        let colour = if *peer == Peer::Tether { "#2a7" } else { "#79b" };
        text(body, left, y + 12.0, "", peer.name());
        let _ = write!(
            body,
            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>",
            left + LABEL_WIDTH
        );
        let cut = if ratio > LONGEST_OVER_TETHER { "… " } else { "" };
        let label = format!("{cut}{seconds:.3} s, {ratio:.2}");
        text(body, left + LABEL_WIDTH + width + 4.0, y + 12.0, "", &label);
    }
    40.0 + times.len() as f64 * (BAR_HEIGHT + 3.0)
}

const CHART_WIDTH: f64 = 560.0;
const CHART_HEIGHT: f64 = 360.0;
const CHART_LEFT: f64 = 70.0;
const COLOURS: [&str; 8] = ["#2a7", "#174", "#5c9", "#093", "#c75", "#a42", "#e9a", "#d33"];

/// The pause of one full collection against how many objects live, both
/// logarithmic, on wasmtime.
pub fn pauses(results: &Results) -> String {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for (cell, measured) in results.iter() {
        let Kind::Pause { live } = cell.workload.kind else { continue };
        if cell.engine != Engine::Wasmtime {
            continue;
        }
        let shape = cell.workload.export.trim_start_matches("w7_");
        let name = format!("{}, {shape}", cell.peer.name());
        let point = (f64::from(live).log10(), measured.median_seconds(cell.workload.kind).log10());
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(point),
            None => lines.push((name, vec![point])),
        }
    }
    lines.sort_by(|(left, _), (right, _)| right.cmp(left));
    let mut body = String::new();
    // From 10^4 to 10^7 objects, and from 10 microseconds to 10 seconds.
    let x = |at: f64| CHART_LEFT + (at - 4.0) / 3.0 * CHART_WIDTH;
    let y = |at: f64| 30.0 + (1.0 - at) / 6.0 * CHART_HEIGHT;
    for (power, label) in
        (-5..=1).zip(["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"])
    {
        line(&mut body, "grid", x(4.0), y(f64::from(power)), x(7.0), y(f64::from(power)));
        text(&mut body, 10.0, y(f64::from(power)) + 4.0, "", label);
    }
    for (power, label) in (4..=7).zip(["10 k", "100 k", "1 M", "10 M"]) {
        line(&mut body, "grid", x(f64::from(power)), y(-5.0), x(f64::from(power)), y(1.0));
        text(&mut body, x(f64::from(power)) - 12.0, y(-5.0) + 18.0, "", label);
    }
    text(&mut body, 10.0, 16.0, "title", "w7: one full collection, by live objects, on wasmtime");
    for (index, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> =
            points.iter().map(|&(live, took)| format!("{:.1},{:.1}", x(live), y(took))).collect();
        let _ = write!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        let row = 40.0 + index as f64 * 16.0;
        line_in(&mut body, colour, CHART_LEFT + CHART_WIDTH + 15.0, row);
        text(&mut body, CHART_LEFT + CHART_WIDTH + 40.0, row + 4.0, "", name);
    }
    svg(CHART_LEFT + CHART_WIDTH + 180.0, CHART_HEIGHT + 60.0, &body)
}

fn svg(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\">\
         <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

fn text(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = write!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}

fn line(body: &mut String, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
    let _ = write!(
        body,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn line_in(body: &mut String, colour: &str, x: f64, y: f64) {
    let _ = write!(
        body,
        "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-width=\"3\"/>",
        x + 20.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{cells, matches};
    use crate::measure::Measurement;

    fn add(results: &mut Results, name: &str, seconds: f64) {
        let cell = cells(false).into_iter().find(|cell| matches(name, cell)).unwrap();
        let measured = Measurement {
            seconds: vec![seconds],
            results: vec![(seconds * 1e9) as i64],
            ..Measurement::default()
        };
        results.add(cell, measured);
    }

    #[test]
    fn a_bar_is_as_long_as_its_time() {
        let mut results = Results::default();
        add(&mut results, "w1/tether/wasmtime", 0.1);
        add(&mut results, "w1/boehm/wasmtime", 0.2);
        let plot = bars(&results);
        assert!(plot.contains("0.200 s, 2.00"), "{plot}");
        assert_eq!(plot.matches("<rect").count(), 3, "the ground and two bars");
    }

    #[test]
    fn pauses_are_one_line_for_each_shape() {
        let mut results = Results::default();
        add(&mut results, "w7-list-10k/tether/wasmtime", 0.0001);
        add(&mut results, "w7-list-100k/tether/wasmtime", 0.001);
        add(&mut results, "w7-tree-10k/tether/wasmtime", 0.0001);
        assert_eq!(pauses(&results).matches("<polyline").count(), 2);
    }
}

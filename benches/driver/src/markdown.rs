//! Tables in Markdown, which also read well on a terminal.

use std::fmt::Write;

/// A table in Markdown, its columns padded to one width each. All but the first
/// `left` columns are figures, and stand to the right.
pub fn table(header: &[&str], left: usize, rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([header[column].chars().count(), 3])
            .max()
            .unwrap_or(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let mut line = String::from("|");
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match column < left {
                true => write!(line, " {cell:<width$} |"),
                false => write!(line, " {cell:>width$} |"),
            };
        }
        line
    };
    let mut text = line(header) + "\n|";
    for (column, &width) in widths.iter().enumerate() {
        let dashes = "-".repeat(width);
        let _ = match column < left {
            true => write!(text, " {dashes} |"),
            false => write!(text, " {dashes}:|"),
        };
    }
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        text = text + "\n" + &line(&cells);
    }
    text + "\n"
}

/// A number with two digits behind the point, or none if it is whole and large.
pub fn figure(figure: f64) -> String {
    if figure.fract() == 0.0 && figure.abs() >= 10.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_columns_stand_under_each_other() {
        let rows =
            [vec!["a".to_owned(), "1.5".to_owned()], vec!["bcde".to_owned(), "10".to_owned()]];
        assert_eq!(
            table(&["name", "s"], 1, &rows),
            "| name |   s |\n| ---- | ---:|\n| a    | 1.5 |\n| bcde |  10 |\n"
        );
    }
}

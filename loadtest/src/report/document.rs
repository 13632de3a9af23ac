//! A document of headings, text, tables and plots, as Markdown with SVG files or as one HTML page.

use std::fmt::Write;

use super::text::escaped;

/// The whole.
#[derive(Debug, Default)]
pub struct Document {
    /// Above everything.
    pub title: String,
    /// Before the first section.
    pub intro: Vec<Block>,
    /// In their order.
    pub sections: Vec<Section>,
}

/// What stands below one heading.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// In their order.
    pub blocks: Vec<Block>,
}

/// Texts may hold `code` between backticks and **bold** between asterisks.
#[derive(Debug)]
pub enum Block {
    /// A paragraph, or several with empty lines between.
    Text(String),
    /// What was typed.
    Command(String),
    /// Rows of cells.
    Table(Table),
    /// A plot.
    Plot {
        /// Of its file, without directory.
        file: String,
        /// For those who do not see it.
        title: String,
        /// The file's content.
        svg: String,
    },
}

/// Rows of cells; the first column is text, the others are numbers.
#[derive(Debug, Default)]
pub struct Table {
    /// The heads of the columns.
    pub head: Vec<String>,
    /// As many cells in each as there are heads.
    pub rows: Vec<Vec<String>>,
}

impl Document {
    /// All blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.intro.iter().chain(self.sections.iter().flat_map(|section| &section.blocks))
    }

    /// As Markdown; plots are images below `plots`.
    pub fn markdown(&self, plots: &str) -> String {
        let mut text = format!("# {}\n\n", self.title);
        self.intro.iter().for_each(|block| block.markdown(plots, &mut text));
        for section in &self.sections {
            let _ = write!(text, "## {}\n\n", section.title);
            section.blocks.iter().for_each(|block| block.markdown(plots, &mut text));
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    /// As one page that asks for nothing else.
    pub fn html(&self) -> String {
        let mut body = format!("<h1>{}</h1>\n", marked(&self.title));
        self.intro.iter().for_each(|block| block.html(&mut body));
        for section in &self.sections {
            let _ = writeln!(body, "<section>\n<h2>{}</h2>", marked(&section.title));
            section.blocks.iter().for_each(|block| block.html(&mut body));
            body.push_str("</section>\n");
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
            escaped(&self.title),
            include_str!("page.css"),
        )
    }
}

impl Block {
    fn markdown(&self, plots: &str, text: &mut String) {
        let _ = match self {
            Self::Text(said) => write!(text, "{}\n\n", said.trim()),
            Self::Command(command) => write!(text, "```sh\n{command}\n```\n\n"),
            Self::Table(table) => writeln!(text, "{}", table.markdown()),
            Self::Plot { file, title, .. } => write!(text, "![{title}]({plots}{file})\n\n"),
        };
    }

    fn html(&self, body: &mut String) {
        let _ = match self {
            Self::Text(said) => {
                said.split("\n\n").try_for_each(|paragraph| writeln!(body, "<p>{}</p>", marked(paragraph.trim())))
            }
            Self::Command(command) => writeln!(body, "<pre><code>{}</code></pre>", escaped(command)),
            Self::Table(table) => write!(body, "{}", table.html()),
            Self::Plot { svg, .. } => writeln!(body, "<figure>\n{svg}</figure>"),
        };
    }
}

impl Table {
    fn markdown(&self) -> String {
        let row = |cells: &[String]| {
            cells.iter().fold("|".to_owned(), |row, cell| format!("{row} {} |", cell.replace('|', "\\|"))) + "\n"
        };
        let rule =
            (0..self.head.len()).fold("|".to_owned(), |rule, column| rule + if column == 0 { "---|" } else { "---:|" });
        self.rows.iter().fold(format!("{}{rule}\n", row(&self.head)), |text, cells| text + &row(cells))
    }

    fn html(&self) -> String {
        let row = |tag: &str, cells: &[String]| {
            let cells = cells.iter().fold(String::new(), |row, cell| format!("{row}<{tag}>{}</{tag}>", marked(cell)));
            format!("<tr>{cells}</tr>\n")
        };
        let rows = self.rows.iter().fold(String::new(), |rows, cells| rows + &row("td", cells));
        let head = row("th", &self.head);
        format!("<div class=\"table\"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n")
    }
}

/// Escaped, with `code` and **bold** as HTML.
fn marked(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in escaped(text).split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
            continue;
        }
        for (index, part) in part.split("**").enumerate() {
            let _ = if index % 2 == 1 { write!(html, "<strong>{part}</strong>") } else { write!(html, "{part}") };
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::super::plot::tests::well_formed;
    use super::*;

    fn document() -> Document {
        let table = Table {
            head: vec!["target".into(), "µs".into()],
            rows: vec![vec!["**studyhall**".into(), "1.2 | <3>".into()]],
        };
        let plot = Block::Plot { file: "rooms-cpu.svg".into(), title: "CPU".into(), svg: "<svg></svg>\n".into() };
        let blocks = vec![
            Block::Text("One & `two`.\n\nThree.".into()),
            Block::Table(table),
            plot,
            Block::Command("a > b".into()),
        ];
        let section = Section { title: "`rooms`".into(), blocks };
        Document { title: "Performance".into(), intro: vec![Block::Text("Hello.".into())], sections: vec![section] }
    }

    #[test]
    fn markdown_links_the_plots() {
        let expected = "# Performance\n\nHello.\n\n## `rooms`\n\nOne & `two`.\n\nThree.\n\n| target | µs |\n|---|---:|\n\
                        | **studyhall** | 1.2 \\| <3> |\n\n![CPU](performance/rooms-cpu.svg)\n\n```sh\na > b\n```\n";
        assert_eq!(document().markdown("performance/"), expected);
    }

    #[test]
    fn the_page_holds_everything_itself() {
        let page = document().html();
        let body = page.split("<body>").nth(1).unwrap().split("</body>").next().unwrap();
        assert_eq!(well_formed(body), Ok(()));
        assert!(body.contains("<p>One &amp; <code>two</code>.</p>\n<p>Three.</p>"));
        assert!(body.contains("<td><strong>studyhall</strong></td><td>1.2 | &lt;3&gt;</td>"));
        assert!(body.contains("<svg></svg>") && body.contains("<code>a &gt; b</code>"));
        for outside in ["src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

//! One mistake in the graph file, shown with its line and a caret under the place.
//!
//! It knows text and positions; what is right or wrong in a graph file is decided elsewhere.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// The text of a file and the name to show for it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path as people should read it.
    pub(crate) name: String,
    /// The whole text.
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &Path, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: path.display().to_string(), text: text.into() })
    }
}

/// Another place that explains the mistake: where the name was used first, the other half of a contradiction.
#[derive(Debug, Clone)]
struct Remark {
    span: Range<usize>,
    label: String,
}

/// A mistake in the graph file.
///
/// Its one-line form is [`Display`](fmt::Display), its form with the source line is [`Diagnostic::render`].
#[derive(Clone)]
pub struct Diagnostic {
    source: Arc<Source>,
    /// `None` where the file as a whole is the problem: it is missing, or not text.
    span: Option<Range<usize>>,
    message: String,
    label: String,
    remarks: Vec<Remark>,
    help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at `span` (in bytes). `message` is one line without a full stop.
    pub(crate) fn at(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            source: Arc::clone(source),
            span: Some(span),
            message: message.into(),
            label: String::new(),
            remarks: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A problem with the file as a whole.
    pub(crate) fn of_file(path: &Path, message: impl Into<String>) -> Self {
        let source = Source::new(path, "");
        Self { span: None, ..Self::at(&source, 0..0, message) }
    }

    /// The words behind the caret.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points at another place of the same file.
    pub(crate) fn remark(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.remarks.push(Remark { span, label: label.into() });
        self
    }

    /// Adds a next step.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The file, as it was named when it was opened.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, most likely first.
    pub fn helps(&self) -> &[String] {
        &self.help
    }

    /// Line and column, both from 1, the column in characters; `None` where the file as a whole is the problem.
    pub fn position(&self) -> Option<(usize, usize)> {
        let before = self.source.text.get(..self.span.as_ref()?.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// Where it stands among the others of its file.
    pub(crate) fn order(&self) -> (usize, usize) {
        self.span.as_ref().map_or((0, 0), |span| (span.start, span.end))
    }

    /// The mistake with its source line, a caret and help, without a newline at the end.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        if let Some(span) = &self.span {
            let mut caret = AnnotationKind::Primary.span(self.visible(span));
            if !self.label.is_empty() {
                caret = caret.label(self.label.as_str());
            }
            let remarks = self.remarks.iter();
            let remarks = remarks
                .map(|remark| AnnotationKind::Context.span(self.visible(&remark.span)).label(remark.label.as_str()));
            let snippet = Snippet::source(self.source.text.as_str()).path(self.source.name.as_str());
            group = group.element(snippet.annotation(caret).annotations(remarks));
        }
        if self.span.is_none() {
            // One report each: within one, the renderer draws a gutter although there is no source beside it.
            let help = self.help.iter().map(|help| Group::with_title(Level::HELP.primary_title(help.as_str())));
            return std::iter::once(group)
                .chain(help)
                .map(|part| renderer.render(&[part]))
                .collect::<Vec<_>>()
                .join("\n");
        }
        let help = self.help.iter().map(|help| Level::HELP.message(help.as_str()));
        renderer.render(&[group.elements(help)])
    }

    /// The span cut at the end of its first line: a caret under a whole table says no more than one under its start.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let text = &self.source.text;
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end).max(start);
        let line = text[start..end].find('\n').map_or(end, |newline| start + newline);
        start..line
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position() {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All mistakes of a file in order of position, and a last line that counts them.
pub fn render_all(diagnostics: &[Diagnostic], color: bool) -> String {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.order());
    let mut text = String::new();
    for diagnostic in &sorted {
        text.push_str(&diagnostic.render(color));
        text.push_str("\n\n");
    }
    // What is wrong with the file as a whole is one thing and names it.
    if let Some(first) = sorted.iter().find(|diagnostic| diagnostic.span.is_some()) {
        let count = match sorted.len() {
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        let title = Level::ERROR.primary_title(format!("{count} in {}", first.file()));
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        text.push_str(&renderer.render(&[Group::with_title(title)]));
        text.push('\n');
    }
    text
}

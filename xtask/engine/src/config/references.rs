//! Values that name steps: each becomes an edge of the graph.

use std::ops::Range;

use toml::de::DeValue;

use super::mention::{Target, Why};
use super::names::StepName;
use super::template::{Reference, Template};
use super::text::Text;
use super::value::Value;
use crate::step::{Kind, StepId};

impl Value<'_> {
    /// A string with variables; what they name becomes an edge of the graph.
    pub(crate) fn template(self, refuse: impl Fn(&Reference) -> Option<(&'static str, String)>) -> Option<Template> {
        let template: Template = self.text()?;
        for variable in template.variables() {
            let text = template.to_string();
            let span = self.within(&self.span(), &text, variable.range.clone());
            let reference = &variable.reference;
            if let Some((label, help)) = refuse(reference) {
                let message = format!("`${{{reference}}}` may not be used here");
                self.reading.report::<()>(self.reading.at(span, message).label(label).help(help));
                continue;
            }
            let why = Why::Variable(reference.to_string());
            match reference {
                Reference::ImageRef(name) | Reference::ImageId(name) => {
                    self.reading.mention(Target::Image(name.clone()), why, span);
                }
                Reference::Secret { step, .. } => {
                    self.reading.mention(Target::Step(StepId::new(Kind::Secrets, step)), why, span);
                }
                Reference::ClusterContext => self.reading.mention(Target::Step(StepId::cluster()), why, span),
                Reference::Env(name) => self.declared(name, span),
                Reference::Project | Reference::GitCommit | Reference::CheckUrl(_) => {}
            }
        }
        Some(template)
    }

    /// Reports a variable of the environment that the file does not declare.
    fn declared(self, name: &str, span: Range<usize>) {
        if let Err(near) = self.reading.declares(name) {
            let problem = self.reading.at(span, format!("the variable `{name}` is not declared")).label("not in `env`");
            self.reading.report::<()>(match near {
                Some(right) => problem.help(format!("did you mean `${{env.{right}}}`?")),
                None => problem.help(format!("declare it at the top of the file: env = [\"{name}\"]")),
            });
        }
    }

    /// The name of a step whose kind goes without saying.
    pub(crate) fn step_of(self, kind: Kind) -> Option<String> {
        let text = self.string()?;
        match text.parse::<StepId>() {
            Ok(id) if id.kind == kind => {
                let message = format!("only steps of the kind {} can stand here, so it is left out", kind.word());
                self.reading.report(self.problem(message).label("has a kind").help(format!("write \"{}\"", id.name)))
            }
            Ok(id) => {
                let message = format!("`{id}` is not a step of the kind {}", kind.word());
                let help = format!("write the name of a table [{}.NAME]", kind.word());
                self.reading.report(self.problem(message).label("another kind of step").help(help))
            }
            Err(_) => Some(self.text::<StepName>()?.0),
        }
    }

    /// The list of steps that come before this one.
    pub(crate) fn steps(self) -> Option<Vec<StepId>> {
        self.set(|item| {
            if let DeValue::String(text) = item.raw()
                && text != Kind::Cluster.word()
                && StepName::parse(text).is_ok()
            {
                item.reading.mention(Target::Bare(text.to_string()), Why::After, item.span());
                return None;
            }
            let step = item.text::<StepId>()?;
            item.reading.mention(Target::Step(step.clone()), Why::After, item.span());
            Some(step)
        })
    }
}

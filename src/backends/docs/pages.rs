//! The pages that the gateway keeps of its backends: `docs/backends/<name>.md`, in the sections that `docs/adding-a-backend.md` names.

use std::sync::LazyLock;

use serde_json::Value;

/// Every page, by the name that a tenant asks for. A new backend is a line here.
const PAGES: &[(&str, &str)] = &[
    ("botpress", include_str!("../../../docs/backends/botpress.md")),
    ("chatwoot", include_str!("../../../docs/backends/chatwoot.md")),
    ("docker", include_str!("../../../docs/backends/docker.md")),
    ("llm", include_str!("../../../docs/backends/llm.md")),
    ("metabase", include_str!("../../../docs/backends/metabase.md")),
    ("n8n", include_str!("../../../docs/backends/n8n.md")),
    ("odoo", include_str!("../../../docs/backends/odoo.md")),
    ("prometheus", include_str!("../../../docs/backends/prometheus.md")),
    ("smartermcp", include_str!("../../../docs/backends/smartermcp.md")),
    ("supabase", include_str!("../../../docs/backends/supabase.md")),
];

/// What a page says.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: &'static str,
    /// The page as it is written.
    pub(super) markdown: &'static str,
    pub(super) description: String,
    pub(super) stack: Vec<String>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) examples: Vec<Example>,
    pub(super) connecting: String,
    pub(super) good_to_know: String,
}

/// A way in to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) description: String,
}

/// A call of a tool, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    pub(super) description: String,
    pub(super) tool: String,
    pub(super) arguments: Value,
}

static READ: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let read = |&(name, text)| Page::read(name, text).unwrap_or_else(|why| panic!("docs/backends/{name}.md: {why}"));
    PAGES.iter().map(read).collect()
});

/// All pages.
///
/// # Panics
/// At start, when one is not in the form that is asked of it.
pub(super) fn read() -> &'static [Page] {
    &READ
}

pub(super) fn find(name: &str) -> Option<&'static Page> {
    read().iter().find(|page| page.name == name)
}

impl Page {
    fn read(name: &'static str, markdown: &'static str) -> Result<Self, String> {
        let mut parts = markdown.split("\n## ");
        let head = parts.next().unwrap_or_default();
        let (title, description) = head.split_once('\n').unwrap_or((head, ""));
        if !title.starts_with("# ") || description.trim().is_empty() {
            return Err("begins with a title and a paragraph".to_owned());
        }
        let mut sections = parts.map(|part| part.split_once('\n').unwrap_or((part, "")));
        let mut section = |title: &str| match sections.next() {
            Some((found, text)) if found.trim() == title => Ok(text.trim()),
            found => Err(format!(
                "'## {title}' was expected, and '{}' was found",
                found.map_or("the end", |(found, _)| found)
            )),
        };
        let stack = items(section("Stack")?);
        let endpoints = items(section("Endpoints")?)
            .into_iter()
            .map(|item| Endpoint::read(&item))
            .collect::<Result<_, _>>()?;
        let examples = Example::read_all(section("Examples")?)?;
        let (connecting, good_to_know) = (section("Connecting")?.to_owned(), section("Good to know")?.to_owned());
        if let Some((more, _)) = sections.next() {
            return Err(format!("'## {more}' is one section too many"));
        }
        Ok(Self {
            name,
            markdown,
            description: paragraph(description),
            stack,
            endpoints,
            examples,
            connecting,
            good_to_know,
        })
    }
}

impl Endpoint {
    /// An item: "`GET /path`: what it is for".
    fn read(item: &str) -> Result<Self, String> {
        let wrong = || format!("an endpoint is written \"`GET /path`: what it is for\", and not \"{item}\"");
        let (call, description) = item.strip_prefix('`').and_then(|rest| rest.split_once('`')).ok_or_else(wrong)?;
        let (method, path) = call.split_once(' ').ok_or_else(wrong)?;
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            description: description.trim_start_matches(':').trim().to_owned(),
        })
    }
}

impl Example {
    /// Each is a sentence, and a block of JSON below it.
    fn read_all(section: &str) -> Result<Vec<Self>, String> {
        let mut examples = Vec::new();
        let mut rest = section;
        while let Some((sentence, after)) = rest.split_once("```json") {
            let (block, after) = after.split_once("```").ok_or("an example's block does not end")?;
            let call: Value = serde_json::from_str(block).map_err(|error| format!("an example is no JSON: {error}"))?;
            let (Some(tool), true) = (call["tool"].as_str(), call["arguments"].is_object()) else {
                return Err(format!("an example is {{\"tool\": …, \"arguments\": …}}, and not {call}"));
            };
            examples.push(Self {
                description: paragraph(sentence),
                tool: tool.to_owned(),
                arguments: call["arguments"].clone(),
            });
            rest = after;
        }
        Ok(examples)
    }
}

/// The items of a list, each on one line, however it was wrapped.
fn items(section: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in section.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.trim().to_owned()),
            (None, Some(item)) => {
                item.push(' ');
                item.push_str(line.trim());
            }
            (None, None) => {}
        }
    }
    items
}

fn paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WHOLE: &str = "# Thing\n\nWhat it\nis.\n\n## Stack\n\n- one\n- two,\n  wrapped\n\n## Endpoints\n\n- `GET /a/{id}`: reads\n\n## Examples\n\nDo this:\n\n```json\n{\"tool\": \"t\", \"arguments\": {\"a\": 1}}\n```\n\n## Connecting\n\nA key.\n\n## Good to know\n\nNothing.\n";

    #[test]
    fn a_page_is_read_into_its_parts() {
        let page = Page::read("thing", WHOLE).unwrap();
        assert_eq!(page.description, "What it is.");
        assert_eq!(page.stack, ["one", "two, wrapped"]);
        assert_eq!(
            (page.endpoints[0].method.as_str(), page.endpoints[0].path.as_str()),
            ("GET", "/a/{id}")
        );
        assert_eq!(page.endpoints[0].description, "reads");
        assert_eq!(
            (page.examples[0].tool.as_str(), &page.examples[0].arguments),
            ("t", &json!({ "a": 1 }))
        );
        assert_eq!(page.examples[0].description, "Do this:");
        assert_eq!((page.connecting.as_str(), page.good_to_know.as_str()), ("A key.", "Nothing."));
    }

    #[test]
    fn a_page_in_another_form_is_refused_with_what_is_wrong() {
        for (whole, broken, words) in [
            ("# Thing", "Thing", "title"),
            ("## Stack", "## Technology", "'## Stack' was expected, and 'Technology' was found"),
            ("`GET /a/{id}`: reads", "GET /a: reads", "an endpoint is written"),
            ("{\"a\": 1}}", "{\"a\": 1}", "no JSON"),
            ("\"tool\"", "\"name\"", "an example is"),
            ("## Good to know\n\nNothing.\n", "", "the end"),
            ("Nothing.\n", "Nothing.\n\n## More\n", "one section too many"),
        ] {
            let text: &'static str = WHOLE.replace(whole, broken).leak();
            let why = Page::read("thing", text).unwrap_err();
            assert!(why.contains(words), "{broken}: {why}");
        }
    }

    #[test]
    fn every_kept_page_says_something_in_each_part() {
        for page in read() {
            assert!(
                !page.stack.is_empty() && !page.endpoints.is_empty() && !page.examples.is_empty(),
                "{}",
                page.name
            );
            assert!(!page.connecting.is_empty() && !page.good_to_know.is_empty(), "{}", page.name);
        }
    }
}

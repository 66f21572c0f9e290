//! What a written query must be before it is sent: one SELECT, over the tables that Metabase shows, that only reads.
//!
//! A list of what is dangerous would never be whole. So what is known to be harmless passes, and nothing else: functions by name,
//! tables by name, and of the grammar what a report needs. What is sent is not the text that was written but the one that its parsed
//! form makes, after that was parsed again and checked: no comment, no second statement and no other reading of a quote is left in it.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{
        AccessExpr, Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, ObjectName, OrderByKind,
        Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableFactor,
        TableWithJoins, Value, ValueWithSpan, Visit, Visitor,
    },
    dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect, RedshiftSqlDialect, SQLiteDialect},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Span, Token, Tokenizer},
};

use super::schema::{Schema, Table};

/// The longest query, in bytes.
const LENGTH_MAX: usize = 6000;
/// The most words and signs of one: a sum of a thousand terms is a tree as deep, and whoever walks it needs the room.
const TOKENS_MAX: usize = 1000;
/// How deep the parser goes. It tries what stands in `IN (` in several ways, each of them again at the next one within: each level
/// more multiplies the time.
const DEPTH_MAX: usize = 25;

/// The stack of the thread that looks at a query, in bytes: several times what the deepest query within the limits needs.
const ROOM: usize = 32 * 1024 * 1024;

/// A kind of database that queries are written for: those whose grammar the parser knows, and that take LIMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Redshift,
    MySql,
    Sqlite,
    H2,
}

impl Engine {
    const ALL: [Engine; 5] = [Engine::Postgres, Engine::Redshift, Engine::MySql, Engine::Sqlite, Engine::H2];

    /// As Metabase calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::Redshift => "redshift",
            Engine::MySql => "mysql",
            Engine::Sqlite => "sqlite",
            Engine::H2 => "h2",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Engine::Postgres => &PostgreSqlDialect {},
            Engine::Redshift => &RedshiftSqlDialect {},
            Engine::MySql => &MySqlDialect {},
            Engine::Sqlite => &SQLiteDialect {},
            Engine::H2 => &GenericDialect {},
        }
    }

    /// What the database takes an identifier for; `None` where that depends on how it is set up.
    fn read(self, identifier: &Ident) -> Option<String> {
        let written = &identifier.value;
        let (folded, wholly) = match (self, identifier.quote_style) {
            (Engine::Sqlite, _) => return Some(written.to_ascii_lowercase()),
            (Engine::Postgres | Engine::Redshift, None) => (written.to_ascii_lowercase(), written.to_lowercase()),
            (Engine::H2, None) => (written.to_ascii_uppercase(), written.to_uppercase()),
            _ => return Some(written.clone()),
        };
        // What becomes of other letters than ASCII's is a matter of the database's encoding.
        (folded == wholly).then_some(folded)
    }

    /// Whether what was read means this name.
    fn means(self, read: &str, name: &str) -> bool {
        match self {
            Engine::Sqlite => read.eq_ignore_ascii_case(name),
            _ => read == name,
        }
    }

    /// Whether a table of this schema is meant by its name alone.
    fn searches(self, schema: Option<&str>) -> bool {
        match self {
            Engine::Postgres | Engine::Redshift => schema.is_none_or(|schema| schema == "public"),
            Engine::H2 => schema.is_none_or(|schema| schema == "PUBLIC"),
            // They have none.
            Engine::MySql | Engine::Sqlite => true,
        }
    }
}

/// The query to send, which answers at most so many rows. It computes, and blocks its thread until it has.
///
/// # Errors
/// Says what it has that is not taken.
pub(super) fn read_only(text: &str, schema: &Schema, rows: usize) -> Result<String, String> {
    // The parser calls itself for each query within a query, and needs more room for that than a thread usually has.
    std::thread::scope(|scope| {
        let looking = std::thread::Builder::new()
            .stack_size(ROOM)
            .spawn_scoped(scope, || look(text, schema, rows))
            .map_err(|_| "no room to be looked at now".to_owned())?;
        looking
            .join()
            .unwrap_or_else(|_| Err("a form at which the parser failed".to_owned()))
    })
}

fn look(text: &str, schema: &Schema, rows: usize) -> Result<String, String> {
    if text.len() > LENGTH_MAX {
        return Err(format!("more than {LENGTH_MAX} characters"));
    }
    // Metabase's own language, in which another saved question is called; and what databases read differently in quotes.
    for mark in ["{{", "[[", "\\"] {
        if text.contains(mark) {
            return Err(format!("'{mark}'"));
        }
    }
    let mut written = parsed(text, schema.engine)?;
    limit(&mut written, rows)?;
    let sent = written.to_string();
    let checked = parsed(&sent, schema.engine)?;
    if checked.to_string() != sent {
        return Err("a form that can be read in two ways".to_owned());
    }
    let mut names = Names {
        schema,
        tables: Vec::new(),
        columns: Vec::new(),
    };
    let _ = checked.visit(&mut names);
    hidden(&sent, &names)?;
    check(&checked, &names)?;
    Ok(sent)
}

/// The one query that the text is.
fn parsed(text: &str, engine: Engine) -> Result<Query, String> {
    let strange = |_: ParserError| "a grammar that is not understood".to_owned();
    let tokens = Tokenizer::new(engine.dialect(), text)
        .tokenize_with_location()
        .map_err(|error| strange(error.into()))?;
    if tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count() > TOKENS_MAX {
        return Err(format!("more than {TOKENS_MAX} words and signs"));
    }
    let mut statements = Parser::new(engine.dialect())
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(strange)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        (Some(_), true) => Err("a statement that is no SELECT".to_owned()),
        (Some(_), false) => Err("more than one statement".to_owned()),
        (None, _) => Err("no statement".to_owned()),
    }
}

/// Caps the rows: a smaller limit of its own stays.
fn limit(query: &mut Query, rows: usize) -> Result<(), String> {
    let (asked, offset) = match query.limit_clause.take() {
        None => (None, None),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => (limit, offset),
        Some(_) => return Err("a LIMIT that is not understood".to_owned()),
    };
    let asked = match asked {
        None => rows,
        Some(Expr::Value(ValueWithSpan {
            value: Value::Number(digits, _),
            ..
        })) => digits.parse().unwrap_or(rows).min(rows),
        Some(_) => return Err("a LIMIT that is no number".to_owned()),
    };
    query.limit_clause = Some(LimitClause::LimitOffset {
        limit: Some(Expr::value(Value::Number(asked.to_string(), false))),
        offset,
        limit_by: Vec::new(),
    });
    Ok(())
}

/// What a query calls its tables and columns, wherever in it; in lower case.
struct Names<'a> {
    schema: &'a Schema,
    /// Those that are tables of the database.
    tables: Vec<(String, &'a Table)>,
    /// What is named by the query itself.
    columns: Vec<String>,
}

impl<'a> Names<'a> {
    /// The table of the database that is meant by a name.
    fn table(&self, name: &ObjectName) -> Option<&'a Table> {
        let Schema { engine, tables } = self.schema;
        let parts: Option<Vec<_>> = name.0.iter().map(|part| engine.read(part.as_ident()?)).collect();
        let parts = parts?;
        tables.iter().find(|table| {
            let schema = table.schema.as_deref();
            match parts.as_slice() {
                [name] => engine.means(name, &table.name) && engine.searches(schema),
                [within, name] => engine.means(name, &table.name) && schema.is_some_and(|schema| engine.means(within, schema)),
                _ => false,
            }
        })
    }

    /// Whether a table with hidden columns is called so.
    fn hides(&self, called: &Ident) -> bool {
        let called = called.value.to_lowercase();
        self.tables.iter().any(|(name, table)| *name == called && !table.hidden.is_empty())
    }

    /// Whether a table with hidden columns is among these.
    fn hide(&self, from: &TableWithJoins) -> bool {
        let hides = |factor: &TableFactor| match factor {
            TableFactor::Table { name, .. } => self.table(name).is_some_and(|table| !table.hidden.is_empty()),
            TableFactor::NestedJoin { table_with_joins, .. } => self.hide(table_with_joins),
            _ => false,
        };
        hides(&from.relation) || from.joins.iter().any(|join| hides(&join.relation))
    }

    /// Whether it is a column that is shown, or named by the query. To PostgreSQL `p.f` may be `f(p)`, a function of the whole row.
    fn is_column(&self, of: &Ident, name: &Ident) -> bool {
        let (of, name) = (of.value.to_lowercase(), name.value.to_lowercase());
        let mut meant = self.tables.iter().filter(|(called, _)| *called == of).peekable();
        if meant.peek().is_some() {
            return meant.all(|(_, table)| table.shows(&name));
        }
        self.columns.contains(&name) || self.tables.iter().any(|(_, table)| table.shows(&name))
    }

    fn name_columns(&mut self, alias: &TableAlias) {
        self.columns
            .extend(alias.columns.iter().map(|column| column.name.value.to_lowercase()));
    }
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for part in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.name_columns(&part.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.columns.push(alias.value.to_lowercase());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.last().and_then(|part| part.as_ident());
                let called = alias.as_ref().map(|alias| &alias.name).or(own);
                match (self.table(name), called) {
                    (Some(table), Some(called)) => self.tables.push((called.value.to_lowercase(), table)),
                    _ => alias.iter().for_each(|alias| self.name_columns(alias)),
                }
            }
            TableFactor::Derived { alias, .. } => alias.iter().for_each(|alias| self.name_columns(alias)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Refuses whatever is called like a column that the query's tables hide, in whichever place: what is meant there is the database's to say.
fn hidden(sent: &str, names: &Names<'_>) -> Result<(), String> {
    let hidden: Vec<_> = names
        .tables
        .iter()
        .flat_map(|(_, table)| &table.hidden)
        .map(|name| name.to_lowercase())
        .collect();
    if hidden.is_empty() {
        return Ok(());
    }
    let tokens = Tokenizer::new(names.schema.engine.dialect(), sent)
        .tokenize()
        .map_err(|_| "a grammar that is not understood".to_owned())?;
    for token in &tokens {
        let word = match token {
            Token::Word(word) if word.keyword == Keyword::NATURAL => return Err("a NATURAL JOIN of a table with hidden columns".to_owned()),
            Token::Word(word) => &word.value,
            Token::DoubleQuotedString(text) => text,
            _ => continue,
        };
        if hidden.contains(&word.to_lowercase()) {
            return Err(format!("the column {word}, which Metabase does not show"));
        }
    }
    Ok(())
}

fn check(query: &Query, names: &Names<'_>) -> Result<(), String> {
    let mut check = Check {
        names,
        named: Vec::new(),
        sorted: Vec::new(),
        depth: 0,
    };
    // Each part of a WITH sees those before it: under a name that comes later lies a real table still.
    let mut body = query.clone();
    if let Some(with) = body.with.take() {
        if with.recursive {
            return Err("WITH RECURSIVE".to_owned());
        }
        for part in with.cte_tables {
            if part.from.is_some() {
                return Err("a WITH that is not understood".to_owned());
            }
            walk(&part.query, &mut check)?;
            check.named.push(part.alias.name.clone());
        }
    }
    walk(&body, &mut check)
}

fn walk(query: &Query, check: &mut Check<'_>) -> Result<(), String> {
    match query.visit(check) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(what),
    }
}

/// Looks at each node, and stops at the first that is not taken.
struct Check<'a> {
    names: &'a Names<'a>,
    /// What WITH has named so far.
    named: Vec<Ident>,
    /// Where a query sorts by what it has named itself: a table that is called so too is not meant there.
    sorted: Vec<Span>,
    depth: usize,
}

type Step = ControlFlow<String>;

fn refuse(what: impl Into<String>) -> Step {
    ControlFlow::Break(what.into())
}

fn allow(fits: bool, what: &str) -> Step {
    if fits { ControlFlow::Continue(()) } else { refuse(what) }
}

impl Visitor for Check<'_> {
    type Break = String;

    fn pre_visit_statement(&mut self, _: &Statement) -> Step {
        refuse("a statement that is no SELECT")
    }

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        self.depth += 1;
        allow(self.depth <= 12, "too many queries in each other")?;
        allow(query.with.is_none(), "a WITH within another query")?;
        allow(query.locks.is_empty(), "a lock (FOR UPDATE)")?;
        let plain = query.fetch.is_none()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        allow(plain, "a clause after the query that is not understood")?;
        if let (SetExpr::Select(select), Some(order)) = (&*query.body, &query.order_by)
            && let OrderByKind::Expressions(keys) = &order.kind
        {
            let own = |name: &Ident| {
                let named = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias == name);
                select.projection.iter().any(named)
            };
            self.sorted.extend(keys.iter().filter_map(|key| match &key.expr {
                Expr::Identifier(name) if own(name) => Some(name.span),
                _ => None,
            }));
        }
        set(&query.body)
    }

    fn post_visit_query(&mut self, _: &Query) -> Step {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        allow(select.into.is_none(), "INTO")?;
        let plain = select.optimizer_hints.is_empty()
            && select.select_modifiers.is_none()
            && select.top.is_none()
            && select.exclude.is_none()
            && select.lateral_views.is_empty()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.qualify.is_none()
            && select.value_table_mode.is_none()
            && matches!(select.flavor, SelectFlavor::Standard)
            && matches!(select.distinct, None | Some(Distinct::Distinct | Distinct::On(_)));
        allow(plain, "a clause of SELECT that is not understood")?;
        let all = |item: &SelectItem| match item {
            SelectItem::Wildcard(_) => select.from.iter().any(|from| self.names.hide(from)),
            // It may be a table of the query around this one.
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let of = name.0.last().and_then(|part| part.as_ident());
                of.is_none_or(|of| self.names.hides(of))
            }
            SelectItem::QualifiedWildcard(..) => true,
            _ => false,
        };
        allow(!select.projection.iter().any(all), "all columns of a table that has hidden ones")
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                allow(args.is_none(), "a function in the place of a table")?;
                let plain = with_hints.is_empty()
                    && version.is_none()
                    && !with_ordinality
                    && partitions.is_empty()
                    && json_path.is_none()
                    && sample.is_none()
                    && index_hints.is_empty();
                allow(plain, "a hint at a table")?;
                let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let hides = self.names.table(name).is_some_and(|table| !table.hidden.is_empty());
                allow(!(renames && hides), "other names for the columns of a table that has hidden ones")
            }
            TableFactor::Derived { sample, .. } => allow(sample.is_none(), "a sample"),
            TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => refuse("a function in the place of a table"),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Step {
        let engine = self.names.schema.engine;
        let alone = match relation.0.as_slice() {
            [part] => part.as_ident().and_then(|name| engine.read(name)),
            _ => None,
        };
        let named = alone.is_some_and(|name| self.named.iter().any(|part| engine.read(part).as_ref() == Some(&name)));
        let known = named || self.names.table(relation).is_some();
        allow(known, &format!("the table {relation}, which Metabase does not show"))
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Step {
        match expression {
            Expr::Function(function) => called(function),
            // MySQL's variables.
            Expr::Identifier(name) => {
                allow(!name.value.starts_with('@'), "a variable")?;
                let row = self.names.hides(name) && !self.sorted.contains(&name.span);
                allow(!row, "a whole row of a table that has hidden columns")
            }
            Expr::CompoundIdentifier(names) => {
                allow(!names.iter().any(|name| name.value.starts_with('@')), "a variable")?;
                let known = matches!(names.as_slice(), [.., of, name] if self.names.is_column(of, name));
                allow(known, &format!("the column {expression}, which Metabase does not show"))
            }
            // To PostgreSQL `('/etc/passwd').pg_read_file` is a call.
            Expr::CompoundFieldAccess { access_chain, .. } => {
                let dotted = access_chain.iter().any(|access| matches!(access, AccessExpr::Dot(_)));
                allow(!dotted, "a part of a value")
            }
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => refuse("a whole row"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> Step {
        match &value.value {
            Value::Placeholder(_) => refuse("a placeholder"),
            Value::DollarQuotedString(_) => refuse("a text in dollars"),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Of what a query is put together: selections, and nothing that changes data.
fn set(expression: &SetExpr) -> Step {
    match expression {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            set(left)?;
            set(right)
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => refuse("a part that changes data"),
        SetExpr::Table(_) => refuse("TABLE"),
    }
}

fn called(function: &Function) -> Step {
    let name = match function.name.0.as_slice() {
        [part] => part.as_ident().filter(|name| name.quote_style.is_none()),
        _ => None,
    };
    let known = name.is_some_and(|name| FUNCTIONS.contains(&name.value.to_ascii_lowercase().as_str()));
    allow(known && !function.uses_odbc_syntax, &format!("the function {}", function.name))?;
    let row = |argument: &FunctionArg| {
        let (FunctionArg::Unnamed(value) | FunctionArg::Named { arg: value, .. } | FunctionArg::ExprNamed { arg: value, .. }) = argument;
        matches!(
            value,
            FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_)
        )
    };
    let rows = matches!(&function.args, FunctionArguments::List(list) if list.args.iter().any(row));
    allow(!rows, "a whole row")
}

/// Functions that only compute, and in no time: none that reads a file or another table's name from a text, waits, repeats a text or
/// changes anything.
const FUNCTIONS: &[&str] = &[
    "abs",
    "age",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "date_add",
    "date_format",
    "date_part",
    "date_sub",
    "date_trunc",
    "dateadd",
    "datediff",
    "datetime",
    "day",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "greatest",
    "group_concat",
    "hour",
    "if",
    "ifnull",
    "julianday",
    "lag",
    "last_day",
    "last_value",
    "lead",
    "least",
    "left",
    "length",
    "ln",
    "localtimestamp",
    "log",
    "lower",
    "ltrim",
    "make_date",
    "max",
    "median",
    "min",
    "minute",
    "mod",
    "month",
    "monthname",
    "nth_value",
    "ntile",
    "now",
    "nullif",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "power",
    "quarter",
    "rank",
    "replace",
    "right",
    "round",
    "row_number",
    "rtrim",
    "second",
    "sign",
    "split_part",
    "sqrt",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "str_to_date",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "timestampdiff",
    "to_char",
    "to_date",
    "to_timestamp",
    "total",
    "trim",
    "trunc",
    "truncate",
    "upper",
    "var_pop",
    "var_samp",
    "variance",
    "week",
    "weekday",
    "year",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(engine: Engine) -> Schema {
        super::super::schema::tests::schema(&json!({
            "engine": engine.name(),
            "tables": [
                { "name": "pedidos", "schema": "public", "fields": [
                    { "name": "id" }, { "name": "cliente" }, { "name": "total" }, { "name": "fecha" }, { "name": "estado" },
                ] },
                { "name": "Clientes", "schema": "public", "fields": [{ "name": "id" }, { "name": "Nombre" }] },
                { "name": "visitas", "schema": "web", "fields": [{ "name": "id" }] },
                { "name": "usuarios", "schema": "public", "fields": [
                    { "name": "id" }, { "name": "nombre" }, { "name": "clave", "visibility_type": "sensitive" },
                ] },
                { "name": "claves", "schema": "public", "visibility_type": "hidden", "fields": [] },
            ],
        }))
    }

    fn tried(text: &str) -> Result<String, String> {
        read_only(text, &schema(Engine::Postgres), 501)
    }

    #[test]
    fn a_select_over_tables_that_are_shown_is_taken_and_its_rows_are_capped() {
        for (text, expected) in [
            ("select * from pedidos", "SELECT * FROM pedidos LIMIT 501"),
            ("SELECT id FROM public.pedidos LIMIT 10;", "SELECT id FROM public.pedidos LIMIT 10"),
            (
                "SELECT id FROM PEDIDOS LIMIT 100000 OFFSET 5",
                "SELECT id FROM PEDIDOS LIMIT 501 OFFSET 5",
            ),
            ("SELECT * FROM WEB.Visitas", "SELECT * FROM WEB.Visitas LIMIT 501"),
            (
                "SELECT count(*), u.nombre FROM usuarios u, pedidos WHERE pedidos.cliente = u.id GROUP BY 2",
                "SELECT count(*), u.nombre FROM usuarios u, pedidos WHERE pedidos.cliente = u.id GROUP BY 2 LIMIT 501",
            ),
            (
                "SELECT nombre, count(*) AS usuarios FROM usuarios GROUP BY nombre ORDER BY usuarios DESC",
                "SELECT nombre, count(*) AS usuarios FROM usuarios GROUP BY nombre ORDER BY usuarios DESC LIMIT 501",
            ),
            (
                "SELECT x.*, x.n FROM (SELECT id, nombre AS n FROM usuarios) x",
                "SELECT x.*, x.n FROM (SELECT id, nombre AS n FROM usuarios) x LIMIT 501",
            ),
            ("SELECT id FROM pedidos LIMIT ALL", "SELECT id FROM pedidos LIMIT 501"),
            ("SELECT 1 -- {a comment}\n", "SELECT 1 LIMIT 501"),
            (
                "SELECT c.\"Nombre\", sum(p.total) FROM \"Clientes\" c JOIN pedidos p ON p.cliente = c.id GROUP BY 1 ORDER BY 2 DESC",
                "SELECT c.\"Nombre\", sum(p.total) FROM \"Clientes\" c JOIN pedidos p ON p.cliente = c.id GROUP BY 1 ORDER BY 2 DESC LIMIT 501",
            ),
            (
                "SELECT 'O''Higgins; DROP TABLE pedidos' FROM pedidos WHERE estado = 'pagado' UNION ALL SELECT '' FROM pedidos",
                "SELECT 'O''Higgins; DROP TABLE pedidos' FROM pedidos WHERE estado = 'pagado' UNION ALL SELECT '' FROM pedidos LIMIT 501",
            ),
        ] {
            let sent = tried(text).unwrap();
            assert_eq!(sent.replace('\n', " ").replace(" AS p ", " p "), expected, "{text}");
        }
        let with = tried(
            "WITH mes AS (SELECT cliente, sum(total) AS total FROM pedidos WHERE date_trunc('month', fecha) = date_trunc('month', current_date) GROUP BY cliente), \
             dos AS (SELECT * FROM mes) SELECT extract(day from now()), rank() over (order by total desc), (SELECT max(id) FROM pedidos) FROM dos WHERE cliente IN (SELECT id FROM \"Clientes\")",
        );
        assert!(with.is_ok(), "{with:?}");
    }

    #[test]
    fn what_is_not_one_reading_select_is_refused() {
        for text in [
            "",
            "no sé",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE pedidos",
            "INSERT INTO pedidos VALUES (1)",
            "UPDATE pedidos SET total = 0",
            "DELETE FROM pedidos",
            "DROP TABLE pedidos",
            "TRUNCATE pedidos",
            "CREATE TABLE x AS SELECT * FROM pedidos",
            "COPY pedidos TO '/tmp/x'",
            "COPY (SELECT 1) TO PROGRAM 'sh'",
            "EXPLAIN ANALYZE DELETE FROM pedidos",
            "CALL borrar()",
            "DO $$ BEGIN END $$",
            "SET ROLE postgres",
            "VACUUM",
            "SELECT * INTO copia FROM pedidos",
            "SELECT * FROM pedidos FOR UPDATE",
            "SELECT * FROM pedidos FOR SHARE",
            "WITH x AS (DELETE FROM pedidos RETURNING *) SELECT * FROM x",
            "WITH x AS (INSERT INTO pedidos VALUES (1) RETURNING *) SELECT * FROM x",
            "WITH x AS (UPDATE pedidos SET total = 0 RETURNING *) SELECT * FROM x",
            "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) SELECT * FROM x",
            "SELECT pg_sleep(10)",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_catalog.count(1) FROM pedidos",
            "SELECT \"count\"(1) FROM pedidos",
            "SELECT lo_import('/etc/passwd')",
            "SELECT query_to_xml('select * from pg_shadow', true, true, '')",
            "SELECT nextval('s')",
            "SELECT set_config('role', 'postgres', false)",
            "SELECT current_user",
            "SELECT repeat('x', 1000000000)",
            "SELECT * FROM pedidos WHERE total > (SELECT pg_sleep(10))",
            "SELECT sum(total) FILTER (WHERE pg_sleep(1) IS NULL) FROM pedidos",
            "SELECT count(*) OVER (ORDER BY pg_sleep(1)) FROM pedidos",
            "SELECT * FROM pedidos ORDER BY pg_sleep(1)",
            "SELECT * FROM pedidos LIMIT (SELECT 5)",
            "SELECT * FROM pedidos LIMIT 5 OFFSET pg_sleep(5)",
            "SELECT * FROM pedidos FETCH FIRST 5 ROWS ONLY",
            "SELECT * FROM generate_series(1, 1000000000)",
            "SELECT * FROM unnest(array[1])",
            "SELECT * FROM pg_shadow",
            "SELECT * FROM pg_catalog.pg_authid",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM claves",
            "SELECT * FROM otra.pedidos",
            "SELECT * FROM base.public.pedidos",
            "SELECT * FROM \"PEDIDOS\"",
            "SELECT * FROM \"clientes\"",
            "SELECT (SELECT rolpassword FROM pg_authid LIMIT 1)",
            "SELECT * FROM pedidos JOIN pg_shadow ON true",
            "SELECT * FROM pedidos, LATERAL (SELECT * FROM pg_shadow) x",
            "SELECT * FROM pedidos WHERE EXISTS (SELECT 1 FROM pg_shadow)",
            // A name of WITH hides no real table before it, nor out of its reach.
            "WITH a AS (SELECT * FROM pg_user), pg_user AS (SELECT 1) SELECT * FROM a",
            "SELECT * FROM (WITH pg_user AS (SELECT 1) SELECT * FROM pg_user) x, pg_user",
            "WITH pg_user AS (SELECT * FROM pg_user) SELECT * FROM pg_user",
            // Nor one that the database reads otherwise.
            "WITH \"PG_SHADOW\" AS (SELECT 1) SELECT * FROM PG_SHADOW",
            "WITH \"pg_Shadow\" AS (SELECT 1) SELECT * FROM pg_shadow",
            "WITH \"Ñ\" AS (SELECT 1) SELECT * FROM Ñ",
            "SELECT * FROM Clientes",
            "SELECT * FROM public.clientes",
            // A name alone is one of `public`.
            "SELECT * FROM visitas",
            "SELECT * FROM public.visitas",
            // What is hidden in a table that is shown.
            "SELECT clave FROM usuarios",
            "SELECT u.clave FROM usuarios u",
            "SELECT \"clave\" FROM usuarios",
            "SELECT u.'clave' FROM usuarios u",
            "SELECT id FROM usuarios WHERE clave LIKE 'a%'",
            "SELECT id FROM usuarios ORDER BY CLAVE",
            "SELECT 1 FROM usuarios JOIN (SELECT 'a' AS clave) x USING (clave)",
            "SELECT 1 FROM usuarios NATURAL JOIN pedidos",
            "SELECT * FROM usuarios",
            "SELECT usuarios.* FROM usuarios",
            "SELECT * FROM pedidos JOIN usuarios ON true",
            "SELECT * FROM (pedidos CROSS JOIN usuarios)",
            "WITH x AS (SELECT * FROM public.usuarios) SELECT id FROM x",
            "SELECT (SELECT u.*) FROM usuarios u",
            "SELECT c FROM usuarios AS u(a, b, c)",
            "SELECT u FROM usuarios u",
            "SELECT usuarios FROM usuarios",
            "SELECT usuarios, 1 AS usuarios FROM usuarios ORDER BY usuarios",
            "SELECT 1 AS usuarios FROM usuarios ORDER BY concat(usuarios)",
            "SELECT count(u.*) FROM usuarios u",
            "SELECT concat(u) FROM usuarios u",
            "SELECT (u).nombre FROM usuarios u",
            // A function that is called like a column.
            "SELECT p.borrar FROM pedidos p",
            "SELECT p.row_to_json, 1 AS row_to_json FROM pedidos p",
            "SELECT x.borrar FROM (SELECT id FROM pedidos) x",
            "SELECT ('/etc/passwd'::text).pg_read_file",
            "TABLE pg_shadow",
            "SELECT 1 UNION TABLE pg_shadow",
            "SELECT * FROM {{#42}}",
            "SELECT '{{#42}}'",
            "SELECT 1 [[AND 1]]",
            "SELECT E'a\\'; DROP TABLE pedidos; --'",
            "SELECT $1",
            "SELECT $$x$$",
            "SELECT * FROM pedidos TABLESAMPLE SYSTEM (10)",
        ] {
            let refused = tried(text);
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
        let mysql = schema(Engine::MySql);
        for text in [
            "SELECT @@version",
            "SELECT @a := 1",
            "SELECT sleep(5)",
            "SELECT benchmark(1000000, 1)",
            "SELECT load_file('/etc/passwd')",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT * FROM pedidos INTO OUTFILE '/tmp/x'",
            "SELECT * FROM pedidos INTO DUMPFILE '/tmp/x'",
            "SELECT * FROM pedidos LOCK IN SHARE MODE",
            "SELECT * FROM mysql.user",
            "WITH Claves AS (SELECT 1) SELECT * FROM claves",
            "SELECT * FROM PEDIDOS",
            "SELECT '\\' UNION SELECT * FROM mysql.user -- '",
            "SELECT /*+ SET_VAR(max_execution_time=0) */ 1 FROM pedidos",
        ] {
            let refused = read_only(text, &mysql, 501);
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
        let h2 = schema(Engine::H2);
        for text in [
            "SELECT FILE_READ('/etc/passwd')",
            "SELECT * FROM CSVREAD('/etc/passwd')",
            "SELECT LINK_SCHEMA('a','b','c','d','e','f')",
            "WITH \"claves\" AS (SELECT 1) SELECT * FROM claves",
            "SELECT * FROM pedidos",
        ] {
            let refused = read_only(text, &h2, 501);
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
    }

    #[test]
    fn names_are_read_as_each_database_reads_them() {
        for (engine, text) in [
            (Engine::Postgres, "WITH Mes AS (SELECT 1) SELECT * FROM mes, MES m, \"mes\" n"),
            (
                Engine::Sqlite,
                "WITH \"Mes\" AS (SELECT 1) SELECT * FROM mes, \"PEDIDOS\", clientes, visitas",
            ),
            (
                Engine::MySql,
                "WITH mes AS (SELECT 1) SELECT * FROM mes, Clientes, visitas, `pedidos`",
            ),
            (Engine::H2, "WITH MES AS (SELECT 1) SELECT * FROM mes, \"public\".\"pedidos\""),
        ] {
            let taken = read_only(text, &schema(engine), 501);
            assert!(taken.is_ok(), "{text}: {taken:?}");
        }
    }

    #[test]
    fn a_comment_that_a_database_would_run_is_not_sent() {
        let sent = read_only(
            "SELECT 1 /*! UNION SELECT password FROM mysql.user */ FROM pedidos",
            &schema(Engine::MySql),
            501,
        );
        assert!(sent.is_err() || !sent.as_ref().unwrap().contains("mysql"), "{sent:?}");
    }

    #[test]
    fn a_deep_or_long_query_costs_nothing_but_its_refusal() {
        let long = format!("SELECT {} FROM pedidos", vec!["1"; 5000].join("+"));
        assert!(tried(&long).is_err());
        let chain = format!("SELECT {} FROM pedidos", vec!["1"; 490].join("+"));
        assert!(tried(&chain).is_ok());
        let deep = format!("SELECT {}1{} FROM pedidos", "(".repeat(2500), ")".repeat(2500));
        assert!(tried(&deep).is_err());
        // Each of these is read in several ways, and each of those has the next within: as deep as this it took minutes.
        let leaf = vec!["1"; 385].join("+");
        let tried_often = (0..11).fold(leaf, |within, _| format!("1 in(((select 1 where {within})+1),2)"));
        assert!(tried(&format!("select 1 where {tried_often}")).is_err());
        let few = format!("{}1{}", "SELECT id FROM pedidos WHERE id IN (".repeat(4), ")".repeat(4));
        assert!(tried(&few).is_ok(), "{:?}", tried(&few));
        let nested = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(20), ") x".repeat(20));
        assert!(tried(&nested).is_err());
    }
}

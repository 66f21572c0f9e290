//! What a written query must be before it is sent: one SELECT, over the tables that Metabase shows, that only reads.
//!
//! A list of what is dangerous would never be whole. So what is known to be harmless passes, and nothing else: functions by name,
//! tables by name, and of the grammar what a report needs. What is sent is not the text that was written but the one that its parsed
//! form makes, after that was parsed again and checked: no comment, no second statement and no other reading of a quote is left in it.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{
        Distinct, Expr, Function, Ident, LimitClause, ObjectName, Query, Select, SelectFlavor, SetExpr, Statement, TableFactor, Value,
        ValueWithSpan, Visit, Visitor,
    },
    dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect, RedshiftSqlDialect, SQLiteDialect},
    parser::{Parser, ParserError},
    tokenizer::{Token, Tokenizer},
};

use super::schema::Schema;

/// The longest query, in bytes.
const LENGTH_MAX: usize = 6000;
/// The most words and signs of one: a sum of a thousand terms is a tree as deep, and whoever walks it needs the room.
const TOKENS_MAX: usize = 1000;

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
}

/// The query to send, which answers at most so many rows.
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
    check(&checked, schema)?;
    Ok(sent)
}

/// The one query that the text is.
fn parsed(text: &str, engine: Engine) -> Result<Query, String> {
    let strange = |_: ParserError| "a grammar that is not understood".to_owned();
    let tokens = Tokenizer::new(engine.dialect(), text)
        .tokenize()
        .map_err(|error| strange(error.into()))?;
    if tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count() > TOKENS_MAX {
        return Err(format!("more than {TOKENS_MAX} words and signs"));
    }
    let mut statements = Parser::new(engine.dialect())
        .with_tokens(tokens)
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

fn check(query: &Query, schema: &Schema) -> Result<(), String> {
    let mut check = Check {
        schema,
        named: Vec::new(),
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
    schema: &'a Schema,
    /// What WITH has named so far.
    named: Vec<Ident>,
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
        allow(plain, "a clause of SELECT that is not understood")
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        match factor {
            TableFactor::Table {
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
                allow(plain, "a hint at a table")
            }
            TableFactor::Derived { sample, .. } => allow(sample.is_none(), "a sample"),
            TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => refuse("a function in the place of a table"),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Step {
        let parts: Option<Vec<&Ident>> = relation.0.iter().map(|part| part.as_ident()).collect();
        let known = match parts.as_deref() {
            Some([name]) => self.named.iter().any(|part| same(part, name)) || self.schema.tables.iter().any(|table| is(name, &table.name)),
            Some([schema, name]) => self
                .schema
                .tables
                .iter()
                .any(|table| is(name, &table.name) && table.schema.as_deref().is_some_and(|own| is(schema, own))),
            _ => false,
        };
        allow(known, &format!("the table {relation}, which Metabase does not show"))
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Step {
        match expression {
            Expr::Function(function) => called(function),
            // MySQL's variables.
            Expr::Identifier(name) => allow(!name.value.starts_with('@'), "a variable"),
            Expr::CompoundIdentifier(names) => allow(!names.iter().any(|name| name.value.starts_with('@')), "a variable"),
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
    allow(known && !function.uses_odbc_syntax, &format!("the function {}", function.name))
}

/// Whether an identifier means this name: to the letter where it is quoted.
fn is(identifier: &Ident, name: &str) -> bool {
    match identifier.quote_style {
        Some(_) => identifier.value == name,
        None => identifier.value.eq_ignore_ascii_case(name),
    }
}

/// Whether two identifiers mean the same part of a WITH.
fn same(a: &Ident, b: &Ident) -> bool {
    match (a.quote_style, b.quote_style) {
        (None, None) => a.value.eq_ignore_ascii_case(&b.value),
        _ => a.value == b.value,
    }
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
                { "name": "pedidos", "schema": "public", "fields": [] },
                { "name": "Clientes", "schema": "public", "fields": [] },
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
            assert_eq!(
                sent.replace('\n', " ").replace("JOIN pedidos AS p", "JOIN pedidos p"),
                expected,
                "{text}"
            );
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
        ] {
            let refused = read_only(text, &h2, 501);
            assert!(refused.is_err(), "{text}: {refused:?}");
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
        let nested = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(20), ") x".repeat(20));
        assert!(tried(&nested).is_err());
    }
}

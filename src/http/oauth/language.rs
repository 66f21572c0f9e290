//! The languages of the pages, each sentence in both at the place where it stands, and dates and scopes in words.

use http::{HeaderMap, header};
use jiff::{Timestamp, tz::TimeZone};

use crate::auth::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Spanish,
    English,
}

/// How many languages of a header are looked at.
const LOOKED_AT: usize = 50;
const MONTHS: [(&str, &str); 12] = [
    ("enero", "January"),
    ("febrero", "February"),
    ("marzo", "March"),
    ("abril", "April"),
    ("mayo", "May"),
    ("junio", "June"),
    ("julio", "July"),
    ("agosto", "August"),
    ("septiembre", "September"),
    ("octubre", "October"),
    ("noviembre", "November"),
    ("diciembre", "December"),
];

impl Language {
    /// The one that the browser prefers (RFC 9110 §12.5.4); Spanish, the platform's own, where it wants neither.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Language::Spanish);
        let entries = headers
            .get_all(header::ACCEPT_LANGUAGE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for entry in entries.take(LOOKED_AT) {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
            let primary = tag.split('-').next().unwrap_or_default();
            let language = [Language::Spanish, Language::English]
                .into_iter()
                .find(|language| primary.eq_ignore_ascii_case(language.tag()));
            if let (Some(language), Ok(weight)) = (language, weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// As the attribute `lang` has it (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Spanish => "es",
            Language::English => "en",
        }
    }

    pub const fn say(self, spanish: &'static str, english: &'static str) -> &'static str {
        match self {
            Language::Spanish => spanish,
            Language::English => english,
        }
    }

    /// The day of a moment, in the tenant's time zone.
    pub fn day(self, millis: i64, zone: &TimeZone) -> String {
        let day = Timestamp::from_millisecond(millis)
            .unwrap_or(Timestamp::MAX)
            .to_zoned(zone.clone())
            .date();
        let (spanish, english) = usize::try_from(day.month() - 1)
            .ok()
            .and_then(|month| MONTHS.get(month))
            .copied()
            .unwrap_or_default();
        match self {
            Language::Spanish => format!("{} de {spanish} de {}", day.day(), day.year()),
            Language::English => format!("{} {english} {}", day.day(), day.year()),
        }
    }

    /// What a scope lets somebody do.
    pub const fn scope(self, scope: Scope) -> &'static str {
        match scope {
            Scope::ReadServices => self.say(
                "Ver tus servicios, sus registros y su infraestructura, y la documentación",
                "See your services, their logs and infrastructure, and the documentation",
            ),
            Scope::WriteServices => self.say(
                "Ver, desplegar y reiniciar tus servicios y contenedores",
                "See, deploy and restart your services and containers",
            ),
            Scope::ReadWorkflows => self.say("Ver tus flujos de trabajo y sus ejecuciones", "See your workflows and how they ran"),
            Scope::WriteWorkflows => self.say("Ver, crear y ejecutar tus flujos de trabajo", "See, create and run your workflows"),
            Scope::ReadAnalytics => self.say(
                "Ver tus indicadores, tableros e informes",
                "See your figures, dashboards and reports",
            ),
            Scope::ReadCrm => self.say(
                "Ver tus contactos y oportunidades de venta",
                "See your contacts and sales opportunities",
            ),
            Scope::WriteCrm => self.say(
                "Ver, crear y cambiar tus contactos y oportunidades de venta",
                "See, create and change your contacts and sales opportunities",
            ),
            Scope::ReadSupport => self.say(
                "Ver las conversaciones con tus clientes y cómo va la atención",
                "See the conversations with your customers and how support is doing",
            ),
            Scope::ReadBots => self.say("Ver tus bots y sus conversaciones", "See your bots and their conversations"),
            Scope::WriteBots => self.say("Ver, cambiar y publicar tus bots", "See, change and publish your bots"),
            Scope::AdminTenants => self.say(
                "Administrar tu cuenta: tokens, miembros, conexiones y sus credenciales",
                "Administer your account: tokens, members, connections and their credentials",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_the_browser_prefers() {
        for (accept, language) in [
            ("es-CL,es;q=0.9,en;q=0.8", Language::Spanish),
            ("en-US,en;q=0.9,es;q=0.8", Language::English),
            ("es;q=0.3, EN;q=0.4", Language::English),
            ("de-DE,de;q=0.9,en;q=0.1", Language::English),
            ("en;q=0", Language::Spanish),
            ("en;q=x", Language::Spanish),
            ("de", Language::Spanish),
            ("*", Language::Spanish),
            ("", Language::Spanish),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
            assert_eq!(Language::of(&headers), language, "{accept}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), Language::Spanish);
    }

    #[test]
    fn a_day_is_the_tenants_own() {
        let zone = TimeZone::get("America/Santiago").unwrap();
        // Half past one in the morning of the first of March, UTC.
        let millis = "2027-03-01T01:30:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(Language::Spanish.day(millis, &zone), "28 de febrero de 2027");
        assert_eq!(Language::English.day(millis, &zone), "28 February 2027");
    }
}

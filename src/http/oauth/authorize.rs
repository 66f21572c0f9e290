//! Consent: who asks, for what, and until when; a member allows all of it, less of it, or nothing.
//!
//! Each step checks the request, the session and what the member may give anew: the page holds nothing that is believed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as Shared},
    response::Response,
};
use http::{StatusCode, header};
use url::Url;

use super::pages::{Choice, Consent, Form, Notice, Offer, Session, Tenants, Turn, Visit, destination, go, onward, page, sign_in_path};
use crate::{
    auth::{Agent, Scope, Scopes},
    error::{Error, Kind, Result},
    oauth::{
        cookie::Cookie,
        grant::{self, Grantor},
        request::{self, Asked, Refused},
        sign_in::{self, Identity, SignedIn},
    },
    state::State,
};

const FORM: &str = "authorize";

/// `GET /oauth/authorize`.
pub async fn show(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, _) = Visit::begin(&state, request);
    let shown = async {
        let ready = Ready::of(&state, &visit, &visit.query).await?;
        Ok(match ready.grantors.as_slice() {
            [grantor] => ready.consent(&state, &visit, grantor, None),
            _ => ready.tenants(&state, &visit),
        })
    };
    visit.answer(shown.await)
}

/// `POST /oauth/authorize`: the member's decision.
pub async fn decide(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, body) = Visit::begin(&state, request);
    visit.answer(decided(&state, &visit, body).await)
}

async fn decided(state: &State, visit: &Visit, body: Body) -> Result<Response, Turn> {
    let sent = Form::read(visit, body).await?;
    let ready = Ready::of(state, visit, sent.get("request")).await?;
    if !ready.signed_in.is_csrf(state, FORM, sent.get("csrf")) {
        return Err(visit.not_our_form(sent.get("request")));
    }
    let named = sent.get("tenant");
    let chosen = ready.grantors.iter().find(|grantor| grantor.tenant.tenant.id.to_string() == named);
    match (sent.get("decision"), chosen) {
        ("deny", _) => Ok(onward(
            visit,
            visit.say("Rechazaste: no se le dio nada", "You refused: it was given nothing"),
            &grant::deny(state, &ready.asked),
        )),
        ("tenant", Some(grantor)) => Ok(ready.consent(state, visit, grantor, None)),
        ("allow", Some(grantor)) => {
            let scopes: Option<Scopes> = sent.all("scope").map(|name| name.parse::<Scope>().ok()).collect();
            let scopes = scopes.ok_or_else(|| Error::new(Kind::Malformed, "The form names a scope that there is none"))?;
            if scopes == Scopes::default() {
                return Ok(ready.consent(state, visit, grantor, Some(scopes)));
            }
            let to = grant::allow(state, &ready.asked, grantor, scopes).await?;
            Ok(onward(visit, visit.say("Listo: lo permitiste", "Done: you have allowed it"), &to))
        }
        ("tenant" | "allow" | "other", _) => Ok(ready.tenants(state, visit)),
        _ => Err(Error::new(Kind::Malformed, "The form holds no decision").into()),
    }
}

/// What is needed to decide: a request that holds, somebody who is signed in, and what he may give.
struct Ready<'a> {
    request: &'a str,
    asked: Asked,
    signed_in: SignedIn,
    /// At least one.
    grantors: Vec<Grantor>,
}

impl<'a> Ready<'a> {
    async fn of(state: &State, visit: &Visit, request: &'a str) -> Result<Self, Turn> {
        let asked = match request::check(state, request, visit.address).await {
            Ok(asked) => asked,
            Err(Refused::Back(to, why)) => return Err(turned_back(state, visit, &to, why).await?.into()),
            Err(Refused::Shown(error)) => return Err(refused(visit, &error)),
        };
        let Some(signed_in) = sign_in::current(state, &visit.headers).await? else {
            return Err(go(&sign_in_path(request)).into());
        };
        let grantors = sign_in::grantors(state, &signed_in.identity).await?;
        if grantors.is_empty() {
            return Err(gives_nothing(state, visit, &signed_in, request).await?);
        }
        Ok(Self {
            request,
            asked,
            signed_in,
            grantors,
        })
    }

    fn tenants(&self, state: &State, visit: &Visit) -> Response {
        let choice = Tenants {
            language: visit.language,
            csrf: self.signed_in.csrf(state, FORM),
            client: &self.asked.client.name,
            tenants: self.grantors.iter().map(Choice::of).collect(),
            session: Session::new(state, visit, &self.signed_in, &self.grantors, self.request),
        };
        page(StatusCode::OK, &choice)
    }

    /// `ticked`: what was sent and is not enough.
    fn consent(&self, state: &State, visit: &Visit, grantor: &Grantor, ticked: Option<Scopes>) -> Response {
        let (client, language) = (&self.asked.client, visit.language);
        let offered = grantor.can_give(self.asked.scopes);
        let lacking = self.asked.scopes.given().filter(|scope| !grantor.scopes.grant(*scope)).collect();
        // What opens everything else is ticked by hand.
        let usual = offered.given().filter(|scope| *scope != Scope::AdminTenants).collect();
        let problem = ticked.map(|_| {
            visit.say(
                "No marcaste nada. Marca lo que quieres permitir, o rechaza.",
                "You have ticked nothing. Tick what you want to allow, or refuse.",
            )
        });
        let (goes_to, here) = destination(&self.asked.redirect_uri);
        let consent = Consent {
            language,
            csrf: self.signed_in.csrf(state, FORM),
            client: &client.name,
            vouched: Url::parse(&client.id)
                .ok()
                .filter(|_| client.metadata)
                .and_then(|url| url.host_str().map(str::to_owned)),
            goes_to,
            here,
            tenant: Choice::of(grantor),
            others: self.grantors.len() > 1,
            offered: Offer::list(language, offered, ticked.unwrap_or(usual)),
            lacking: Offer::list(language, lacking, Scopes::default()),
            agent: grantor.agent.map(Agent::name),
            until: language.day(grantor.until, &grantor.tenant.time_zone),
            problem,
            session: Session::new(state, visit, &self.signed_in, &self.grantors, self.request),
        };
        let status = if ticked.is_some() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        page(status, &consent)
    }
}

/// Of a request that the application is told to be wrong.
///
/// Anybody can register an address: who has not signed in is sent nowhere but to his own machine without being asked, or this gateway's
/// name would lead to every other site (RFC 9700 §4.11.2).
async fn turned_back(state: &State, visit: &Visit, to: &Url, why: &'static str) -> Result<Response> {
    let (goes_to, here) = destination(to);
    let title = visit.say(
        "La aplicación pidió algo que no vale",
        "The application asked for something that is not good",
    );
    // Signed in, it may be a form that led here.
    if sign_in::current(state, &visit.headers).await?.is_some() {
        return Ok(onward(visit, title, to));
    }
    if here {
        return Ok(go(to.as_str()));
    }
    let notice = Notice {
        detail: Some(why.to_owned()),
        away: Some((goes_to, to.to_string())),
        ..visit.notice(
            title,
            visit.say(
                "No se le dio nada. Muestra esto a quien la hizo:",
                "It was given nothing. Show this to whoever made it:",
            ),
        )
    };
    Ok(page(StatusCode::BAD_REQUEST, &notice))
}

/// Of a request that nobody can be sent back with.
fn refused(visit: &Visit, error: &Error) -> Turn {
    // A failure of ours, or an address that asks too often, says so itself.
    if error.kind().status().is_server_error() || error.kind() == Kind::RateLimited {
        return error.repeated().into();
    }
    let notice = Notice {
        detail: Some(error.message().to_owned()),
        ..visit.notice(
            visit.say(
                "La aplicación pidió algo que no vale",
                "The application asked for something that is not good",
            ),
            visit.say(
                "No se le dio nada. Vuelve a ella e inténtalo de nuevo; si sigue, muestra esto a quien la hizo:",
                "It was given nothing. Go back to it and try again; if it stays so, show this to whoever made it:",
            ),
        )
    };
    page(error.kind().status(), &notice).into()
}

/// Of somebody who was signed in, and may give nothing any more.
pub(super) async fn gives_nothing(state: &State, visit: &Visit, signed_in: &SignedIn, request: &str) -> Result<Turn> {
    if let Identity::Token { .. } = signed_in.identity {
        // The token is at its end, and the session with it.
        sign_in::end(state, signed_in).await?;
        let mut response = go(&sign_in_path(request));
        response.headers_mut().append(header::SET_COOKIE, Cookie::Session.clear(state)?);
        return Ok(response.into());
    }
    let notice = Notice {
        session: Some(Session::new(state, visit, signed_in, &[], request)),
        ..visit.notice(
            visit.say("No eres miembro de ningún negocio", "You are a member of no business"),
            visit.say(
                "Pide una invitación a quien administra tu negocio.",
                "Ask whoever administers your business for an invitation.",
            ),
        )
    };
    Ok(page(StatusCode::FORBIDDEN, &notice).into())
}

//! Signing in, by a pasted token or by the operator's OpenID provider, and out.
//!
//! What is pasted is looked up and forgotten: it is neither stored, nor logged, nor shown again.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as Shared},
    response::Response,
};
use http::{StatusCode, header};
use url::form_urlencoded;

use super::pages::{Form, Notice, SIGN_OUT, SignIn, Turn, Visit, as_parameter, go, page, request_path, sign_in_path};
use crate::{
    error::{Error, Kind, Result},
    http::problem,
    oauth::{
        cookie::Cookie,
        openid::{Provider, Refused},
        sign_in::{self, Identity},
    },
    state::State,
};

const FORM: &str = "sign-in";
/// The longest request that is taken along.
const REQUEST_MAX: usize = crate::oauth::request::QUERY_MAX;

/// `GET /oauth/sign-in`.
pub async fn show(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, _) = Visit::begin(&state, request);
    let request = asked_in(&visit.query);
    let shown = async {
        if sign_in::current(&state, &visit.headers).await?.is_some() {
            return Ok(go(&request_path(&request)));
        }
        form(&state, &visit, &request, None)
    };
    visit.answer(shown.await)
}

/// `POST /oauth/sign-in`: with a token.
pub async fn sign_in(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, body) = Visit::begin(&state, request);
    visit.answer(with_token(&state, &visit, body).await)
}

async fn with_token(state: &State, visit: &Visit, body: Body) -> Result<Response, Turn> {
    let sent = Form::read(visit, body).await?;
    let request = short(sent.get("request"));
    if !sign_in::is_csrf_before(state, &visit.headers, FORM, sent.get("csrf")) {
        return Err(visit.not_our_form(request));
    }
    match sign_in::by_token(state, sent.get("token").trim(), visit.address).await {
        Ok(identity) => enter(state, &identity, request).await,
        Err(error) => {
            let problem = problem_with(visit, &error).ok_or_else(|| error.repeated())?;
            // A 401 would have to say how a program authenticates here (RFC 9110 §15.5.2), which it does not.
            let status = match error.kind() {
                Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::FORBIDDEN,
            };
            let mut response = form(state, visit, request, Some((status, problem)))?;
            problem::retry_after(&error, response.headers_mut());
            Ok(response)
        }
    }
}

/// Why a token does not sign in, in words. `None`: it is not the token's fault.
fn problem_with(visit: &Visit, error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        Kind::Unauthenticated => visit.say(
            "Este token no funciona: está mal copiado, venció o fue revocado.",
            "This token does not work: it was copied wrongly, has expired, or was revoked.",
        ),
        Kind::Forbidden if error.code() == "operator_token" => visit.say(
            "Este es el token del operador, que no es de ningún negocio. Usa un token de tu negocio.",
            "This is the operator's token, which is no business's. Use a token of your business.",
        ),
        Kind::NotFound => visit.say(
            "El negocio de este token está suspendido.",
            "The business of this token is suspended.",
        ),
        Kind::RateLimited => visit.say(
            "Demasiados intentos desde tu dirección. Espera un minuto.",
            "Too many attempts from your address. Wait a minute.",
        ),
        _ => return None,
    })
}

/// `GET /oauth/sign-in/openid`: to the provider.
pub async fn leave(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, _) = Visit::begin(&state, request);
    let request = asked_in(&visit.query);
    let left = async {
        let provider = provider(&state, &visit)?;
        let (url, cookie) = provider
            .begin(&state, &request)
            .await
            .map_err(|refused| refuse(&visit, refused, &request))?;
        let mut response = go(url.as_str());
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    };
    visit.answer(left.await)
}

/// `GET /oauth/sign-in/callback`: back from the provider.
pub async fn come_back(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, _) = Visit::begin(&state, request);
    let mut response = visit.answer(by_provider(&state, &visit).await);
    // One answer for one trip, whatever came of it.
    if let Ok(clear) = Cookie::OpenId.clear(&state) {
        response.headers_mut().append(header::SET_COOKIE, clear);
    }
    response
}

async fn by_provider(state: &State, visit: &Visit) -> Result<Response, Turn> {
    let provider = provider(state, visit)?;
    state.known.check_address(visit.address)?;
    let cookie = Cookie::OpenId.read(state, &visit.headers);
    match provider.finish(state, cookie, &visit.query).await {
        Ok((identity, request)) => enter(state, &identity, &request).await,
        Err(refused) => {
            if !matches!(refused, Refused::Away(_) | Refused::Failed(_)) {
                state.known.count_address(visit.address)?;
            }
            Err(refuse(visit, refused, ""))
        }
    }
}

fn provider<'a>(state: &'a State, visit: &Visit) -> Result<&'a Provider, Turn> {
    state.openid.as_ref().ok_or_else(|| {
        let notice = visit.notice(
            visit.say("No se puede entrar así", "There is no such way in"),
            visit.say(
                "Esta instalación no tiene un proveedor OpenID.",
                "This installation has no OpenID provider.",
            ),
        );
        page(StatusCode::NOT_FOUND, &notice).into()
    })
}

/// Why the provider's word does not sign in, in words. What is for the log goes there.
fn refuse(visit: &Visit, refused: Refused, request: &str) -> Turn {
    let (status, text) = match refused {
        Refused::Failed(error) => return error.into(),
        Refused::Stale => (
            StatusCode::FORBIDDEN,
            visit
                .say(
                    "Pasó demasiado tiempo, o esta respuesta ya fue usada o no es para este navegador.",
                    "It took too long, or this answer was used already, or is not for this browser.",
                )
                .to_owned(),
        ),
        Refused::Away(why) => {
            tracing::warn!(why, "the OpenID provider cannot be asked");
            let words = visit.say(
                "El proveedor de identidad no responde como debe. Inténtalo en un momento, o entra con un token.",
                "The identity provider does not answer as it should. Try again in a moment, or sign in with a token.",
            );
            (StatusCode::SERVICE_UNAVAILABLE, words.to_owned())
        }
        Refused::Denied(code) => (
            StatusCode::FORBIDDEN,
            format!(
                "{} ({code})",
                visit.say("El proveedor de identidad no te dejó entrar.", "The identity provider did not let you in.")
            ),
        ),
        Refused::Untrusted(why) => {
            tracing::warn!(why, "what the OpenID provider sent does not hold");
            let words = visit.say(
                "La respuesta del proveedor de identidad no es válida.",
                "The answer of the identity provider does not hold.",
            );
            (StatusCode::FORBIDDEN, words.to_owned())
        }
        Refused::Unverified => (
            StatusCode::FORBIDDEN,
            visit
                .say(
                    "El proveedor de identidad no ha verificado tu dirección de correo. Verifícala allí primero.",
                    "The identity provider has not verified your e-mail address. Verify it there first.",
                )
                .to_owned(),
        ),
        Refused::NotInvited(email) => (
            StatusCode::FORBIDDEN,
            format!(
                "{email}: {}",
                visit.say(
                    "nadie ha invitado esta dirección. Pídelo a quien administra tu negocio.",
                    "nobody has invited this address. Ask whoever administers your business."
                )
            ),
        ),
        Refused::Taken(email) => (
            StatusCode::FORBIDDEN,
            format!(
                "{email}: {}",
                visit.say(
                    "otra cuenta entró antes con esta dirección. Quien administra tu negocio puede quitarla e invitarte de nuevo.",
                    "another account has signed in with this address before. Whoever administers your business can remove it and invite you again."
                )
            ),
        ),
    };
    let notice = Notice {
        link: Some(sign_in_path(request)),
        ..visit.notice(visit.say("No pudiste entrar", "You were not signed in"), text)
    };
    page(status, &notice).into()
}

/// `POST /oauth/sign-out`.
pub async fn sign_out(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, body) = Visit::begin(&state, request);
    let left = async {
        let sent = Form::read(&visit, body).await?;
        let request = short(sent.get("request"));
        if let Some(signed_in) = sign_in::current(&state, &visit.headers).await? {
            if !signed_in.is_csrf(&state, SIGN_OUT, sent.get("csrf")) {
                return Err(visit.not_our_form(request));
            }
            sign_in::end(&state, &signed_in).await?;
        }
        let mut response = go(&sign_in_path(request));
        response.headers_mut().append(header::SET_COOKIE, Cookie::Session.clear(&state)?);
        Ok(response)
    };
    visit.answer(left.await)
}

/// Begins the session, and goes on to what the member was about to see.
async fn enter(state: &State, identity: &Identity, request: &str) -> Result<Response, Turn> {
    match identity {
        Identity::Token { token_id, tenant_id } => {
            tracing::info!(tenant = %tenant_id, token = %token_id, "somebody signed in with a token");
        }
        Identity::Person { issuer, subject, .. } => tracing::info!(issuer, subject, "a member signed in"),
    }
    let session = sign_in::begin(state, identity).await?;
    let mut response = go(&request_path(request));
    response.headers_mut().append(header::SET_COOKIE, session);
    response.headers_mut().append(header::SET_COOKIE, Cookie::Before.clear(state)?);
    Ok(response)
}

fn form(state: &State, visit: &Visit, request: &str, problem: Option<(StatusCode, &'static str)>) -> Result<Response, Turn> {
    let (csrf, cookie) = sign_in::csrf_before(state, &visit.headers, FORM)?;
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let form = SignIn {
        language: visit.language,
        csrf,
        request,
        query: as_parameter(request),
        provider: state.openid.as_ref().map(Provider::name),
        problem,
    };
    let mut response = page(status, &form);
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The request that a query takes along.
fn asked_in(query: &str) -> String {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "request")
        .map(|(_, request)| short(&request).to_owned())
        .unwrap_or_default()
}

/// One that is too long is refused where it comes from; here it is none.
fn short(request: &str) -> &str {
    if request.len() <= REQUEST_MAX { request } else { "" }
}

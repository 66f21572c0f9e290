//! The connected applications of who is signed in, and their end.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as Shared},
    response::Response,
};
use http::StatusCode;

use super::{
    authorize::gives_nothing,
    pages::{Applications, Connected, Form, Offer, Session, Turn, Visit, go, page, sign_in_path},
};
use crate::{
    auth::Scopes,
    error::Result,
    freshness,
    oauth::{
        grant::{self, Grantor, Taker},
        sign_in::{self, SignedIn},
    },
    state::State,
    store::{Reach, changes, grants::Row},
};

const FORM: &str = "revoke";

/// `GET /oauth/applications`.
pub async fn show(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, _) = Visit::begin(&state, request);
    let shown = async {
        let own = Own::of(&state, &visit).await?;
        Ok(own.page(&state, &visit, None))
    };
    visit.answer(shown.await)
}

/// `POST /oauth/applications/revoke`.
pub async fn revoke(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (visit, body) = Visit::begin(&state, request);
    visit.answer(revoked(&state, &visit, body).await)
}

async fn revoked(state: &State, visit: &Visit, body: Body) -> Result<Response, Turn> {
    let sent = Form::read(visit, body).await?;
    let mut own = Own::of(state, visit).await?;
    if !own.signed_in.is_csrf(state, FORM, sent.get("csrf")) {
        return Err(visit.not_our_form(""));
    }
    // One that is not in the list is another's, or has gone: then there is nothing to do.
    let place = own
        .applications
        .iter()
        .position(|(_, row)| row.id.to_string() == sent.get("application"));
    let Some(place) = place else {
        return Ok(own.page(state, visit, None));
    };
    let (of, row) = own.applications.remove(place);
    let mut tx = state.store.write(Reach::Tenant(row.tenant_id)).await?;
    grant::revoke(state, &mut tx, row.tenant_id, row.id, Taker::Giver(&own.grantors[of].by)).await?;
    tx.commit().await?;
    let change = changes::Change {
        kind: Some(changes::Kind::Grant),
        subject: row.id.to_string(),
    };
    // It is stored: other replicas hear of it within a second, and so does this one at the latest.
    if let Err(error) = freshness::forget(state, &change).await {
        tracing::warn!(source = error.cause(), "what has changed is forgotten a moment later");
    }
    Ok(own.page(state, visit, Some(row.client_name)))
}

/// Who is signed in, and what he has connected.
struct Own {
    signed_in: SignedIn,
    grantors: Vec<Grantor>,
    /// Each with the place of its tenant in `grantors`.
    applications: Vec<(usize, Row)>,
}

impl Own {
    async fn of(state: &State, visit: &Visit) -> Result<Self, Turn> {
        let Some(signed_in) = sign_in::current(state, &visit.headers).await? else {
            return Err(go(&sign_in_path("")).into());
        };
        let grantors = sign_in::grantors(state, &signed_in.identity).await?;
        if grantors.is_empty() {
            return Err(gives_nothing(state, visit, &signed_in, "").await?);
        }
        let mut applications = Vec::new();
        for (place, grantor) in grantors.iter().enumerate() {
            let rows = grant::list(state, grantor.tenant.tenant.id, Some(&grantor.by)).await?;
            applications.extend(rows.into_iter().map(|row| (place, row)));
        }
        Ok(Self {
            signed_in,
            grantors,
            applications,
        })
    }

    fn page(&self, state: &State, visit: &Visit, gone: Option<String>) -> Response {
        let language = visit.language;
        let shown = |(place, row): &(usize, Row)| {
            let tenant = &self.grantors[*place].tenant;
            let day = |millis| language.day(millis, &tenant.time_zone);
            Connected {
                id: row.id.to_string(),
                client: row.client_name.clone(),
                tenant_name: tenant.tenant.name.clone(),
                offers: Offer::list(language, row.scopes, Scopes::default()),
                created: day(row.created_at),
                used: row.used_at.map_or_else(|| language.say("nunca", "never").to_owned(), day),
                until: day(row.expires_at),
            }
        };
        let list = Applications {
            language,
            csrf: self.signed_in.csrf(state, FORM),
            applications: self.applications.iter().map(shown).collect(),
            gone,
            session: Session::new(state, visit, &self.signed_in, &self.grantors, ""),
        };
        page(StatusCode::OK, &list)
    }
}

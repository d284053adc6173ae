//! When the token of an answer ends, by the clock of the system and by that of the caller, which a test can replace.

use super::task::AcquisitionTask;
use crate::http::Response;
use crate::source::{GrantedToken, TokenResponse};
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp, Token, WallClocks};

impl AcquisitionTask {
    /// The token that a successful response grants, as it came `now`.
    pub(super) async fn parse_grant(
        &self,
        response: &mut Response,
        mut token_response: TokenResponse,
        now: Timestamp,
    ) -> Option<(TokenResponse, GrantedToken)> {
        let sent_at = response
            .headers
            .date
            .as_deref()
            .and_then(Timestamp::from_http_date);
        let mut grant = token_response.take_token(now, sent_at)?;
        if !self.context.key.cache_key.is_thread_local() {
            return Some((token_response, grant));
        }
        // A test has replaced the caller's clock, and the endpoint may go by that one or by the system's. A lifetime is
        // the same on both; an instant is one of the clock on which it makes sense, and the earlier one if it does on
        // both. On the caller's clock the lifetime begins with the call: what that clock says now is not known here.
        let called_at = self.context.called_at.caller;
        let lifetime = |grant: &GrantedToken, from| {
            let lifetime = grant
                .cacheable
                .then(|| grant.token.expires_on.saturating_duration_since(from))?;
            // Longer ones were cut to this.
            (!lifetime.is_zero() && lifetime < MAX_TOKEN_LIFETIME).then_some(lifetime)
        };
        let again = self.read_token_response(response).await;
        let by_caller = again.and_then(|mut token_response| {
            lifetime(&token_response.take_token(called_at, sent_at)?, called_at)
        });
        let lifetimes = [lifetime(&grant, now), by_caller];
        if let Some(lifetime) = lifetimes.into_iter().flatten().min() {
            grant.token = Token::new(grant.token.secret, now, now.saturating_add(lifetime));
        }
        grant.token.offset_ms = WallClocks {
            system: now,
            caller: called_at,
        }
        .offset_ms();
        Some((token_response, grant))
    }

    /// The time by the clock of who started the flight, too.
    pub(super) fn wall_clocks(&self) -> WallClocks {
        self.context.called_at.when(self.client.platform.clock.now())
    }
}

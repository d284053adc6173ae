//! The expiry of a token if the caller's clock differs from the system's, as under a test's fake timers.

use super::task::AcquisitionTask;
use crate::http::Response;
use crate::source::{GrantedToken, TokenResponse};
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp, Token, WallClocks};

impl AcquisitionTask {
    /// Returns the token of a successful response that was received at `now`.
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
        // A test has replaced the caller's clock, and the endpoint may use that clock or the system's. A lifetime is the
        // same on both clocks. A point in time belongs to the clock on which it is a plausible expiry; if it is
        // plausible on both, the shorter lifetime counts. On the caller's clock the lifetime starts with the call,
        // because the present time of that clock is unknown here.
        let called_at = self.context.called_at.caller;
        let lifetime = |grant: &GrantedToken, from| {
            let lifetime = grant
                .cacheable
                .then(|| grant.token.expires_on.saturating_duration_since(from))?;
            // A longer lifetime has been cut to the maximum, so the point in time is not plausible on this clock.
            (!lifetime.is_zero() && lifetime < MAX_TOKEN_LIFETIME).then_some(lifetime)
        };
        let parsed_again = self.read_token_response(response).await;
        let by_caller = parsed_again.and_then(|mut token_response| {
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

    /// Returns the present time by the system's clock and by that of the caller that started the request.
    pub(super) fn wall_clocks(&self) -> WallClocks {
        self.context.called_at.when(self.client.platform.clock.now())
    }
}

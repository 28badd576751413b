//! Login of a person at the mock.

use http::Method;
use url::Url;

use super::{Browser, BrowserError, Page, Visit};
use crate::mock::{persons::Person, records::verification::Verification};

/// Functions that log a person in.
impl Browser {
    /// Signs `person` in and follows every redirect: the app's login, the sign-in page of the mock,
    /// the callback, and the final page.
    ///
    /// If the person's tier is below the requested tier, the person skips the verification. To
    /// complete the verification, call [`sign_in_verifying`](Self::sign_in_verifying).
    ///
    /// # Errors
    /// [`BrowserError::NoAuthorizePage`] if `login_url` does not lead to an authorize page of a
    /// mock issuer.
    pub async fn sign_in(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
    ) -> Result<Page, BrowserError> {
        self.sign_in_verifying(login_url, person, Verification::Skip)
            .await
    }

    /// [Signs `person` in](Self::sign_in), and ends the verification that is offered below the
    /// requested tier with this result. If the mock shows no verification page, this result has no
    /// effect.
    ///
    /// # Errors
    /// Returns the same errors as [`sign_in`](Self::sign_in).
    pub async fn sign_in_verifying(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
        verification: Verification,
    ) -> Result<Page, BrowserError> {
        let page = self.authorize_page(login_url.as_ref()).await?;
        self.allow(&page, person, verification).send().await
    }

    /// Opens the sign-in page of the mock and denies consent.
    ///
    /// # Errors
    /// Returns the same errors as [`sign_in`](Self::sign_in).
    pub async fn deny(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
    ) -> Result<Page, BrowserError> {
        let page = self.authorize_page(login_url.as_ref()).await?;
        let form = [("person", person.id()), ("decision", "deny")];
        self.decide(&page, &form).send().await
    }

    /// Runs [`sign_in`](Self::sign_in) up to the callback. Returns the callback URL, which contains
    /// the code, and does not request this URL.
    ///
    /// # Errors
    /// Returns the same errors as [`sign_in`](Self::sign_in).
    pub async fn start_sign_in(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
    ) -> Result<Url, BrowserError> {
        self.start_sign_in_verifying(login_url, person, Verification::Skip)
            .await
    }

    /// Runs [`sign_in_verifying`](Self::sign_in_verifying) up to the callback. Returns the callback
    /// URL, which contains the code, and does not request this URL.
    ///
    /// # Errors
    /// Returns the same errors as [`sign_in`](Self::sign_in).
    pub async fn start_sign_in_verifying(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
        verification: Verification,
    ) -> Result<Url, BrowserError> {
        let page = self.authorize_page(login_url.as_ref()).await?;
        let visit = self.allow(&page, person, verification);
        let answer = visit.stay().send().await?;
        answer
            .location()
            .ok_or_else(|| BrowserError::NotARedirect(answer.summary()))
    }

    async fn authorize_page(&self, login_url: &str) -> Result<Page, BrowserError> {
        let page = self.get(login_url).await?;
        let is_it = page.status() == 200
            && page.url().path() == "/authorize"
            && page.body().contains("name=\"decision\"");
        if is_it {
            Ok(page)
        } else {
            Err(BrowserError::NoAuthorizePage(page.summary()))
        }
    }

    fn allow(&self, page: &Page, person: &Person, verification: Verification) -> Visit<'_> {
        let form = [
            ("person", person.id()),
            ("decision", "allow"),
            ("verification", verification.as_str()),
        ];
        self.decide(page, &form)
    }

    fn decide(&self, page: &Page, form: &[(&str, &str)]) -> Visit<'_> {
        self.request(Method::POST, page.url())
            .form(form)
            .with_history(page)
    }
}

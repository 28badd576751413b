//! Login of a person at the mock.

use http::Method;
use url::Url;

use super::{Browser, BrowserError, Page, Visit};
use crate::mock::{persons::Person, records::verification::Verification};

/// Login of a person, through the real redirects.
impl Browser {
    /// Signs `person` in, through every real redirect: the app's login, the authorize page, the
    /// callback, and the final page.
    ///
    /// If the person's tier is below the requested tier, they skip the verification. To complete
    /// the verification, call [`sign_in_verifying`](Self::sign_in_verifying).
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
    /// requested tier with this result. If the mock offers no verification, nothing changes.
    ///
    /// # Errors
    /// The same as those of [`sign_in`](Self::sign_in).
    pub async fn sign_in_verifying(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
        verification: Verification,
    ) -> Result<Page, BrowserError> {
        let page = self.authorize_page(login_url.as_ref()).await?;
        self.allow(&page, person, verification).send().await
    }

    /// Opens the authorize page and denies consent.
    ///
    /// # Errors
    /// The same as those of [`sign_in`](Self::sign_in).
    pub async fn deny(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
    ) -> Result<Page, BrowserError> {
        let page = self.authorize_page(login_url.as_ref()).await?;
        let form = [("person", person.id()), ("decision", "deny")];
        self.decide(&page, &form).send().await
    }

    /// Runs [`sign_in`](Self::sign_in) without the callback, and returns the callback URL with its
    /// code.
    ///
    /// # Errors
    /// The same as those of [`sign_in`](Self::sign_in).
    pub async fn start_sign_in(
        &self,
        login_url: impl AsRef<str>,
        person: &Person,
    ) -> Result<Url, BrowserError> {
        self.start_sign_in_verifying(login_url, person, Verification::Skip)
            .await
    }

    /// Runs [`sign_in_verifying`](Self::sign_in_verifying) without the callback, and returns the
    /// callback URL with its code.
    ///
    /// # Errors
    /// The same as those of [`sign_in`](Self::sign_in).
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

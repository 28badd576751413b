//! The client of the case API (K50 to K59).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use tokio::sync::broadcast;
use url::Url;

use super::{
    case::{Case, Decision, read},
    error::CaseError,
    multipart::Boundary,
    prepared::BrokeOff,
    settings::Settings,
    upload::Upload,
    wait::{Looks, WaitOutcome},
};
use crate::{
    api::{Api, Failure, MAX_ANSWER_BYTES, MutationError},
    http::{Answer, Idempotency, TransportError},
    observe::{self, Call},
    wire::{
        cases::{IDEMPOTENCY_KEY, OpenCase, UploadResponse},
        kyc::KycTier,
    },
};

/// Opens cases, uploads what was captured, and asks for decisions, with the tenant's API key. Needs
/// no web framework. Cheap to clone.
#[derive(Clone)]
pub struct CaseClient {
    api: Api,
    uploads: Api,
    settings: Settings,
    on_decided: Option<OnDecided>,
    looks: Looks,
    #[cfg(feature = "web")]
    uploaders: super::uploaders::Uploaders,
}

/// Hears of every decision: whose case it was, and what was decided.
pub(crate) type OnDecided = Arc<dyn Fn(Case, Decision) -> BoxFuture<'static, ()> + Send + Sync>;

impl CaseClient {
    pub(crate) fn new(api: Api, settings: Settings, on_decided: Option<OnDecided>) -> Self {
        Self {
            uploads: api.for_long_calls(settings.upload_deadline),
            api,
            settings,
            on_decided,
            looks: broadcast::channel(64).0,
            #[cfg(feature = "web")]
            uploaders: super::uploaders::Uploaders::default(),
        }
    }

    /// Opens a case for a person, to reach `level`. Sent once: nobody's case is opened twice by a
    /// connection that broke.
    ///
    /// # Errors
    /// [`CaseError`]. After [`OutcomeUnknown`](CaseError::OutcomeUnknown) there may be a case that
    /// nobody knows the id of; without documents it decides nothing, and another can be opened.
    pub async fn open(&self, person_id: &str, level: &KycTier) -> Result<Case, CaseError> {
        let request = self.request_to_open(person_id, level)?;
        let open = async {
            let told = self
                .api
                .send_once(|authorization| self.send(request(authorization, None)))
                .await;
            opened(&told?, person_id)
        };
        observe::call(Call::OpenCase, open).await
    }

    /// The same with an `Idempotency-Key`, so that it can be sent again: three attempts, and any
    /// number of calls, open one case. KYCPort does not document the header (K59): use it once you
    /// know that KYCPort honours it, or this opens a case with every attempt.
    ///
    /// # Errors
    /// [`CaseError`]; [`CaseError::Id`] also if the key is none: 16 to 255 printable ASCII
    /// characters, which should be random.
    pub async fn open_once(
        &self,
        person_id: &str,
        level: &KycTier,
        idempotency_key: &str,
    ) -> Result<Case, CaseError> {
        let is_key = (16..=255).contains(&idempotency_key.len())
            && idempotency_key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = HeaderValue::from_str(idempotency_key).map_err(|_| CaseError::Id)?;
        if !is_key {
            return Err(CaseError::Id);
        }
        let request = self.request_to_open(person_id, level)?;
        let send = |authorization| self.send(request(authorization, Some(key.clone())));
        let open = async {
            match self.api.call(Idempotency::Idempotent, send).await {
                Ok(answer) => opened(&answer, person_id),
                // The last attempt may have done it, and calling this again tells.
                Err(
                    failure @ (Failure::Unavailable { .. }
                    | Failure::Transport(TransportError::Timeout | TransportError::Broken)),
                ) => Err(MutationError::OutcomeUnknown(failure).into()),
                Err(failure) => Err(failure.into()),
            }
        };
        observe::call(Call::OpenCase, open).await
    }

    /// Reads a case: three attempts and 20 s at most.
    ///
    /// # Errors
    /// [`CaseError`]. A case of another tenant is `case_not_found`, like none.
    pub async fn get(&self, case_id: &str) -> Result<Case, CaseError> {
        let read = async {
            let answer = self.api.get_with_retries(&self.url(case_id, None)?).await?;
            let case = Case::read(&answer)?;
            if case.id != case_id {
                return Err(CaseError::CaseMismatch);
            }
            Ok(case)
        };
        observe::call(Call::ReadCase, read).await
    }

    /// The same, of one person: to be called with an id that came from their browser.
    ///
    /// # Errors
    /// [`CaseError::CaseMismatch`] if it is somebody else's; else as [`get`](Self::get).
    pub async fn get_of(&self, person_id: &str, case_id: &str) -> Result<Case, CaseError> {
        let case = self.get(case_id).await?;
        if case.person_id != person_id {
            return Err(CaseError::CaseMismatch);
        }
        Ok(case)
    }

    /// Uploads what was captured, streamed: one piece of a file is in memory at a time. Gives the
    /// names of the parts that KYCPort says it received. Every file is opened and judged before
    /// anything is sent: its type by its content, and its size (20 MiB at most).
    ///
    /// It is sent once, within 120 s; the files are opened again only if the connection could not
    /// be made, or if the key is refused and another has come.
    ///
    /// # Errors
    /// [`CaseError::Upload`] if KYCPort would refuse it, or the files broke off; else [`CaseError`].
    pub async fn upload(&self, case_id: &str, upload: Upload) -> Result<Vec<String>, CaseError> {
        observe::call(Call::Upload, self.send_upload(case_id, upload)).await
    }

    async fn send_upload(&self, case_id: &str, upload: Upload) -> Result<Vec<String>, CaseError> {
        let url = self.url(case_id, Some("upload"))?;
        self.api.require_key()?;
        let limit = self.settings.max_file_bytes;
        let first = Mutex::new(Some(upload.prepare(limit).await?));
        let (boundary, broke_off) = (Boundary::random(), BrokeOff::default());
        let told = self.uploads.send_once(async |authorization| {
            let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let prepared = match ready {
                Some(prepared) => prepared,
                None => upload.prepare(limit).await.map_err(|error| {
                    broke_off.note(error);
                    TransportError::Request
                })?,
            };
            let form = prepared.form(&upload, &boundary, &broke_off);
            let request = http::Request::post(url.as_str())
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, boundary.content_type())
                .body(reqwest::Body::wrap(form))
                .map_err(|_| TransportError::Request)?;
            let deadline = self.settings.upload_deadline;
            let http = self.uploads.http();
            http.send_within(deadline, request, MAX_ANSWER_BYTES).await
        });
        let told = told.await;
        if let (Err(_), Some(error)) = (&told, broke_off.why()) {
            return Err(error.into());
        }
        let received: UploadResponse = read(&told?).map_err(CaseError::after_the_deed)?;
        Ok(received.received)
    }

    /// Asks for the decision, once: it is never sent again. The case is read first, so that it is
    /// known whose decision this is; what is decided is felt by that person's live sessions before
    /// this returns.
    ///
    /// An outcome of [`Review`](super::Outcome::Review) is not the last word: see
    /// [`wait_until_decided`](Self::wait_until_decided).
    ///
    /// # Errors
    /// [`CaseError`]. After [`OutcomeUnknown`](CaseError::OutcomeUnknown), read the case.
    pub async fn decide(&self, case_id: &str) -> Result<Decision, CaseError> {
        let url = self.url(case_id, Some("decide"))?;
        let case = self.get(case_id).await?;
        let told = self.api.send_once(|authorization| {
            let request = http::Request::post(url.as_str())
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_LENGTH, 0)
                .body(Vec::new());
            self.send(request)
        });
        let decide = async { Decision::read(&told.await?).map_err(CaseError::after_the_deed) };
        let decision = observe::call(Call::Decide, decide).await?;
        self.decided(case, decision.clone()).await;
        Ok(decision)
    }

    /// Looks at a case until it is decided, but for no longer than `patience`: after 1 s, then
    /// less and less often, every 10 s at last, at moments left a little to chance; and at once
    /// when [`poll_now`](Self::poll_now) is called. It can be given up at any moment.
    ///
    /// # Errors
    /// [`CaseError`] if KYCPort says no, or if it did not answer once in all that time.
    pub async fn wait_until_decided(
        &self,
        case_id: &str,
        patience: Duration,
    ) -> Result<WaitOutcome, CaseError> {
        let (first, longest) = (self.settings.first_pause, self.settings.longest_pause);
        let look = || self.get(case_id);
        let waited =
            super::wait::wait(&self.looks, case_id, look, patience, first, longest).await?;
        if let WaitOutcome::Decided(case, decision) = &waited {
            self.decided(case.clone(), decision.clone()).await;
        }
        Ok(waited)
    }

    /// Tells whoever waits for this case that there is news: for whoever hears of it otherwise.
    pub fn poll_now(&self, case_id: &str) {
        // Nobody may be waiting.
        let _ = self.looks.send(case_id.to_owned());
    }

    async fn decided(&self, case: Case, decision: Decision) {
        if let Some(told) = &self.on_decided {
            told(case, decision).await;
        }
    }

    /// Permission for one more upload of this person, if they have not too many in progress.
    #[cfg(feature = "web")]
    pub(super) fn enter_upload(&self, person_id: &str) -> Option<super::uploaders::UploadPermit> {
        self.uploaders.enter(person_id)
    }

    #[cfg(feature = "web")]
    pub(super) fn uploads(&self) -> &Api {
        &self.uploads
    }

    #[cfg(feature = "web")]
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn url(&self, case_id: &str, deed: Option<&str>) -> Result<Url, CaseError> {
        let mut segments = vec!["verification", "cases", case_id];
        segments.extend(deed);
        self.api.url(&segments).ok_or(CaseError::Id)
    }

    /// Gives what makes the request with this authorization, and with an idempotency key or without.
    fn request_to_open(
        &self,
        person_id: &str,
        level: &KycTier,
    ) -> Result<impl Fn(HeaderValue, Option<HeaderValue>) -> BuiltRequest, CaseError> {
        // The same rule as in a path, though it stands in a body here.
        self.api.url(&[person_id]).ok_or(CaseError::Id)?;
        let url = self
            .api
            .url(&["verification", "cases"])
            .ok_or(CaseError::Id)?;
        let body = serde_json::to_vec(&OpenCase {
            person_id: person_id.to_owned(),
            level: level.clone(),
        })
        .map_err(|_| CaseError::Id)?;
        Ok(move |authorization, key: Option<HeaderValue>| {
            let mut request = http::Request::builder()
                .method(Method::POST)
                .uri(url.as_str())
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/json");
            if let Some(key) = key {
                request = request.header(IDEMPOTENCY_KEY, key);
            }
            request.body(body.clone())
        })
    }

    async fn send(&self, request: BuiltRequest) -> Result<Answer, TransportError> {
        let request = request.map_err(|_| TransportError::Request)?;
        self.api.http().send(request, MAX_ANSWER_BYTES).await
    }
}

type BuiltRequest = Result<http::Request<Vec<u8>>, http::Error>;

impl fmt::Debug for CaseClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseClient")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

fn opened(answer: &Answer, person_id: &str) -> Result<Case, CaseError> {
    let case = Case::read(answer).map_err(CaseError::after_the_deed)?;
    if case.person_id != person_id {
        return Err(CaseError::CaseMismatch);
    }
    Ok(case)
}

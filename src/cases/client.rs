//! Client of the case API (K50 to K59).

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
    prepared::StreamError,
    rates::Rates,
    settings::Settings,
    upload::Upload,
    wait::{CaseUpdates, WaitOutcome},
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

/// Client that opens cases, uploads files and requests decisions, with the tenant's API key. The
/// client needs no web framework and is cheap to clone.
#[derive(Clone)]
pub struct CaseClient {
    api: Api,
    uploads: Api,
    settings: Settings,
    on_decided: Option<OnDecided>,
    updates: CaseUpdates,
    rates: Rates,
    #[cfg(feature = "web")]
    uploaders: super::uploaders::Uploaders,
}

/// Function that the client calls with every decided case and its decision.
pub(crate) type OnDecided = Arc<dyn Fn(Case, Decision) -> BoxFuture<'static, ()> + Send + Sync>;

impl CaseClient {
    pub(crate) fn new(api: Api, settings: Settings, on_decided: Option<OnDecided>) -> Self {
        Self {
            uploads: api.for_long_calls(settings.upload_deadline),
            #[cfg(feature = "web")]
            uploaders: super::uploaders::Uploaders::new(api.clock()),
            rates: Rates::new(&api.clock()),
            api,
            settings,
            on_decided,
            updates: broadcast::channel(64).0,
        }
    }

    /// Opens a case to verify a person for the tier `level`. The client sends the request only
    /// once. A broken connection therefore cannot open two cases.
    ///
    /// For each person, this client sends 30 requests to open or find a case, and then one request
    /// per 5 s.
    ///
    /// # Errors
    /// Returns [`CaseError`]. After [`OutcomeUnknown`](CaseError::OutcomeUnknown), a case with an
    /// unknown id may exist. A case without documents has no effect. After this error, you can open
    /// another case.
    pub async fn open(&self, person_id: &str, level: &KycTier) -> Result<Case, CaseError> {
        let request = self.request_to_open(person_id, level)?;
        self.rates.of_person(person_id)?;
        let open = async {
            let sent = self
                .api
                .send_once(|authorization| self.send(request(authorization, None)))
                .await;
            opened(&sent?, person_id)
        };
        observe::call(Call::OpenCase, open).await
    }

    /// Opens a case with an `Idempotency-Key`. The client can therefore retry the request. All
    /// attempts and calls with one key open one case. A call makes up to three attempts.
    ///
    /// KYCPort does not document the header (K59). If KYCPort ignores the header, every attempt
    /// opens a case. Use this method only if you know that KYCPort supports the header.
    ///
    /// # Errors
    /// Returns [`CaseError`]. The error is [`CaseError::Id`] if `idempotency_key` is not 16 to 255
    /// printable ASCII characters. The key should be random.
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
        self.rates.of_person(person_id)?;
        let send = |authorization| self.send(request(authorization, Some(key.clone())));
        let open = async {
            match self.api.call(Idempotency::Idempotent, send).await {
                Ok(answer) => opened(&answer, person_id),
                // KYCPort may have applied the last attempt. A further call with the key returns
                // the case that KYCPort opened.
                Err(
                    failure @ (Failure::Unavailable { .. }
                    | Failure::Transport(TransportError::Timeout | TransportError::Broken)),
                ) => Err(MutationError::OutcomeUnknown(failure).into()),
                Err(failure) => Err(failure.into()),
            }
        };
        observe::call(Call::OpenCase, open).await
    }

    /// Reads a case, with up to three attempts within 20 s.
    ///
    /// # Errors
    /// Returns [`CaseError`]. KYCPort responds with `case_not_found` if the case belongs to another
    /// tenant or does not exist.
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

    /// Reads a case and checks that it belongs to `person_id`. Use this method if the case id comes
    /// from a browser. The rate of a person is limited as for [`open`](Self::open).
    ///
    /// # Errors
    /// Returns [`CaseError::CaseMismatch`] if the case belongs to another person. Also returns the
    /// errors of [`get`](Self::get).
    pub async fn get_of(&self, person_id: &str, case_id: &str) -> Result<Case, CaseError> {
        self.rates.of_person(person_id)?;
        let case = self.get(case_id).await?;
        if case.person_id != person_id {
            return Err(CaseError::CaseMismatch);
        }
        Ok(case)
    }

    /// Uploads files to a case, and returns the names of the parts that KYCPort received.
    ///
    /// The client streams the upload, with one piece of a file in memory at a time. Before the
    /// request, the client opens every file, and checks its size and the type of its content.
    /// Maximum size: 20 MiB.
    ///
    /// Maximum time for an upload: 120 s. The client repeats the upload only if the connection
    /// could not be made, or if KYCPort rejects the API key and a new key is available. For each
    /// attempt, the client opens the files again.
    ///
    /// # Errors
    /// Returns [`CaseError::Upload`] if KYCPort would reject a file, or if a file cannot be read to
    /// its end. Returns another variant of [`CaseError`] if KYCPort rejects the request or does not
    /// respond.
    pub async fn upload(&self, case_id: &str, upload: Upload) -> Result<Vec<String>, CaseError> {
        observe::call(Call::Upload, self.send_upload(case_id, upload)).await
    }

    async fn send_upload(&self, case_id: &str, upload: Upload) -> Result<Vec<String>, CaseError> {
        let url = self.url(case_id, Some("upload"))?;
        self.api.require_key()?;
        let limit = self.settings.max_file_bytes;
        let first = Mutex::new(Some(upload.prepare(limit).await?));
        let (boundary, stream_error) = (Boundary::random(), StreamError::default());
        let sent = self.uploads.send_once(async |authorization| {
            let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let prepared = match ready {
                Some(prepared) => prepared,
                None => upload.prepare(limit).await.map_err(|error| {
                    stream_error.set(error);
                    TransportError::Request
                })?,
            };
            let form = prepared.form(&upload, &boundary, &stream_error);
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
        let sent = sent.await;
        if let (Err(_), Some(error)) = (&sent, stream_error.get()) {
            return Err(error.into());
        }
        let received: UploadResponse = read(&sent?).map_err(CaseError::after_mutation)?;
        Ok(received.received)
    }

    /// Requests the decision of a case. The client never retries this request.
    ///
    /// The client first reads the case to find the case's person. The client updates active
    /// sessions of the person before this method returns.
    ///
    /// For each case, this client sends 10 requests for a decision, and then one request per 5 s.
    ///
    /// An outcome of [`Review`](super::Outcome::Review) is not final.
    /// See [`wait_until_decided`](Self::wait_until_decided).
    ///
    /// # Errors
    /// Returns [`CaseError`]. After [`OutcomeUnknown`](CaseError::OutcomeUnknown), read the case to
    /// learn the outcome.
    pub async fn decide(&self, case_id: &str) -> Result<Decision, CaseError> {
        let url = self.url(case_id, Some("decide"))?;
        self.rates.of_case(case_id)?;
        let case = self.get(case_id).await?;
        self.rates.of_person(&case.person_id)?;
        let sent = self.api.send_once(|authorization| {
            let request = http::Request::post(url.as_str())
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_LENGTH, 0)
                .body(Vec::new());
            self.send(request)
        });
        let decide = async { Decision::read(&sent.await?).map_err(CaseError::after_mutation) };
        let decision = observe::call(Call::Decide, decide).await?;
        self.decided(case, decision.clone()).await;
        Ok(decision)
    }

    /// Polls a case until KYCPort has decided the case, for at most `max_wait`.
    ///
    /// The pause between two reads is 1 s at first and doubles up to 10 s. Each pause is shorter by
    /// a random part of up to a quarter. A call of [`poll_now`](Self::poll_now) ends the pause
    /// immediately.
    ///
    /// The call is cancellation-safe: dropping the future only stops the polling. The number of
    /// calls for one case is limited as for [`decide`](Self::decide).
    ///
    /// # Errors
    /// Returns [`CaseError`] if KYCPort rejects the request, or if no read succeeded within
    /// `max_wait`.
    pub async fn wait_until_decided(
        &self,
        case_id: &str,
        max_wait: Duration,
    ) -> Result<WaitOutcome, CaseError> {
        self.url(case_id, None)?;
        self.rates.of_case(case_id)?;
        let (first, max) = (self.settings.first_pause, self.settings.max_pause);
        let read = || self.get(case_id);
        let outcome = super::wait::wait(&self.updates, case_id, read, max_wait, first, max).await?;
        if let WaitOutcome::Decided(case, decision) = &outcome {
            self.decided(case.clone(), decision.clone()).await;
        }
        Ok(outcome)
    }

    /// Makes [`wait_until_decided`](Self::wait_until_decided) read this case immediately. Call this
    /// method if you learn in another way that the case has changed.
    pub fn poll_now(&self, case_id: &str) {
        // An error means that no task waits for a case.
        let _ = self.updates.send(case_id.to_owned());
    }

    async fn decided(&self, case: Case, decision: Decision) {
        if let Some(on_decided) = &self.on_decided {
            on_decided(case, decision).await;
        }
    }

    /// Returns a permit for an upload. Returns `None` if this person has the maximum number of
    /// uploads in progress.
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

    pub(super) fn url(&self, case_id: &str, action: Option<&str>) -> Result<Url, CaseError> {
        let mut segments = vec!["verification", "cases", case_id];
        segments.extend(action);
        self.api.url(&segments).ok_or(CaseError::Id)
    }

    /// Returns a function that builds the request from an authorization and an optional idempotency
    /// key.
    fn request_to_open(
        &self,
        person_id: &str,
        level: &KycTier,
    ) -> Result<impl Fn(HeaderValue, Option<HeaderValue>) -> BuiltRequest, CaseError> {
        // Check the person id, which is sent in the body, with the rule for ids in paths.
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
    let case = Case::read(answer).map_err(CaseError::after_mutation)?;
    if case.person_id != person_id {
        return Err(CaseError::CaseMismatch);
    }
    Ok(case)
}

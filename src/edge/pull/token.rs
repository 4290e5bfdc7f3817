//! A token for a Google service account: a signed claim is exchanged at the token address (RFC 7523). The key
//! leaves the machine only as a signature, and only to the address that it was made for.

use super::super::http::{Ask, Client, Failure};
use super::super::secrets::Secret;
use crate::adapters::request::{Form, Method};
use crate::domain::fault::ExitCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::time::Instant;
use zeroize::Zeroizing;

/// The only address that a key file may name by itself.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// How long a claim is good for, in seconds; the most that is accepted.
const CLAIM_SECONDS: i64 = 3600;
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";

/// Exchanges the key for a token with this scope. `token_url` is the job's, in place of the file's own.
///
/// # Errors
/// [`ExitCode::Config`] for what is no key file or names another address; else what the exchange says.
pub async fn fetch(
    client: &Client,
    key: &Secret,
    scope: &str,
    token_url: Option<&str>,
    now: DateTime<Utc>,
    until: Instant,
) -> Result<Secret, Failure> {
    let file: Value = serde_json::from_str(key.expose()).map_err(|_| bad(key, "is no service account's key file"))?;
    let text = |name: &str| file.get(name).and_then(Value::as_str);
    let named = text("token_uri").unwrap_or(TOKEN_URL);
    let url = match token_url {
        Some(url) => url,
        None if named == TOKEN_URL => named,
        None => {
            return Err(bad(key, "names a token address that is not the provider's; if it is right, set token_url in the job"));
        }
    };
    let assertion = claim(key, &file, scope, named, now)?;
    let path_at = url.find("://").and_then(|at| url.get(at + 3..)?.find('/').map(|path| at + 3 + path)).unwrap_or(url.len());
    let (origin, path) = url.split_at(path_at);
    let body = Zeroizing::new(format!("{GRANT}{}", *assertion));
    let ask = Ask {
        method: Method::Post,
        origin,
        path: if path.is_empty() { "/" } else { path },
        query: &[],
        headers: &[],
        body: Some(&body),
        content_type: "application/x-www-form-urlencoded",
        auth: None,
        form: Form::Json,
    };
    let refused = |failure: Failure| match failure.what.contains("HTTP 400") {
        // What a wrong or revoked key is told (RFC 6749 section 5.2).
        true => {
            let what = format!("key refused (HTTP 400 from the token address), secret {:?}", key.name());
            Failure::new(ExitCode::NoPerm, what, "make a new key for the service account, and check this machine's clock")
        }
        false if failure.code == ExitCode::NoPerm => {
            Failure { what: format!("{} at the token address, secret {:?}", failure.what, key.name()), ..failure }
        }
        false => Failure { what: format!("{} (token address)", failure.what), ..failure },
    };
    let answer = client.ask(&ask, until).await.map_err(refused)?;
    let token: Option<Value> = serde_json::from_slice(&answer.bytes).ok();
    let token = token.as_ref().and_then(|token| token.get("access_token")?.as_str()).filter(|token| token.len() >= 8);
    match token {
        Some(token) => Ok(Secret::made(key.name().to_string(), token.to_string())),
        None => Err(Failure::new(ExitCode::Protocol, "the token address gave no token", "check token_url")),
    }
}

fn bad(key: &Secret, what: &str) -> Failure {
    Failure::new(ExitCode::Config, format!("secret {:?} {what}", key.name()), "download the key again as JSON")
}

/// The signed claim: header, claims, signature.
fn claim(key: &Secret, file: &Value, scope: &str, audience: &str, now: DateTime<Utc>) -> Result<Zeroizing<String>, Failure> {
    let text = |name: &str| file.get(name).and_then(Value::as_str);
    let (Some(email), Some(pem)) = (text("client_email"), text("private_key")) else {
        return Err(bad(key, "has no client_email or no private_key"));
    };
    let lines: Zeroizing<String> = Zeroizing::new(pem.lines().filter(|line| !line.starts_with("-----")).collect());
    let der = Zeroizing::new(STANDARD.decode(lines.trim()).map_err(|_| bad(key, "has a private_key that is no PEM"))?);
    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| bad(key, "has a private_key that is no RSA key"))?;
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": text("private_key_id") });
    let issued = now.timestamp();
    let claims = json!({ "iss": email, "scope": scope, "aud": audience, "iat": issued, "exp": issued + CLAIM_SECONDS });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| bad(key, "has a private_key that cannot sign"))?;
    Ok(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

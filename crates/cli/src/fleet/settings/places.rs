//! What every role's configuration must say of where mail comes from and where backups go.

use url::Url;
use worker::is_same_zone;

use super::config::{Config, Store};
use super::mail_server::Server;
use crate::server::server_url;
use crate::store::client::is_loopback;
use crate::terminal::failure::Failure;

impl Config {
    /// Fails unless there is a mail server and a store in another zone, and nothing travels in the clear that nobody allowed to.
    pub(crate) fn check_places(&self) -> Result<(), Failure> {
        if self.servers.is_empty() {
            let what = "use the configuration: it names no mail server, so there is nothing to back up";
            return Err(Failure::usage(what, "add [[servers]] to it"));
        }
        if self.stores.is_empty() {
            let what = "use the configuration: it names no store, so backups have nowhere to go";
            return Err(Failure::usage(what, "add [[stores]] to it, in another zone than production's"));
        }
        self.check_zones()?;
        for server in &self.servers {
            self.check_server(server)?;
        }
        self.stores.iter().try_for_each(|store| self.check_endpoint(store))
    }

    /// Backups that burn down together with the mail are none.
    pub(crate) fn check_zones(&self) -> Result<(), Failure> {
        let is_production = |store: &&Store| is_same_zone(&store.zone, &self.production_zone);
        match self.stores.iter().find(is_production) {
            Some(Store { name, zone, .. }) => {
                let what = format!("use the store {name}: it lies in production's own zone, {zone}");
                let hint = "name a place in another zone: it would be lost together with the mail";
                Err(Failure::usage(what, hint))
            }
            None => Ok(()),
        }
    }

    fn check_server(&self, server: &Server) -> Result<(), Failure> {
        let url = server_url(Some(&server.url))?;
        self.check_url(&url, &format!("the mail server {}", server.name))
    }

    fn check_endpoint(&self, store: &Store) -> Result<(), Failure> {
        match store.endpoint.as_deref().map(Url::parse) {
            Some(Ok(url)) => self.check_url(&url, &format!("the store {}", store.name)),
            // What is wrong with a store is said when it is opened.
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn check_url(&self, url: &Url, what: &str) -> Result<(), Failure> {
        if url.scheme() != "http" || self.allow_plain_http || is_loopback(url.as_str()) {
            return Ok(());
        }
        let what = format!("talk to {what}: its URL is http, so passwords and mail could be read on the way");
        Err(Failure::usage(what, "use https, or set allow_plain_http = true if the network itself is safe"))
    }
}

#[cfg(test)]
mod tests {
    use crate::fleet::settings::config::tests::config;

    const SERVER: &str = "[[servers]]\nname = \"mail\"\nurl = ";
    const STORE: &str = "[[stores]]\nname = \"far\"\nurl = \"s3://b\"\n";

    fn refused(servers: &str, stores: &str) -> Option<String> {
        config(&format!("{servers}\n{stores}")).check_places().err().map(|failure| failure.to_string())
    }

    #[test]
    fn a_mail_server_and_a_store_elsewhere_are_needed() {
        let (server, store) =
            (format!("{SERVER}\"https://m.example\""), format!("{STORE}zone = \"eu-east\""));
        assert_eq!(refused(&server, &store), None);
        for (servers, stores, named) in [("", store.as_str(), "no mail server"), (&server, "", "no store")] {
            let why = refused(servers, stores).expect(named);
            assert!(why.contains(named), "{why}");
        }
        for zone in ["eu-west", "EU-West", " eu-west ", "\\tEU-WEST"] {
            let why = refused(&server, &format!("{STORE}zone = \"{zone}\"")).expect(zone);
            assert!(why.contains("production's own zone"), "{why}");
        }
    }

    #[test]
    fn nothing_travels_in_the_clear_that_nobody_allowed_to() {
        for url in
            ["http://m.example", "http://10.0.0.1:8080", "http://localhost.example", "HTTP://m.example"]
        {
            let (server, far) = (format!("{SERVER}\"{url}\""), format!("{STORE}zone = \"eu-east\""));
            let why = refused(&server, &far).expect(url);
            assert!(why.contains("its URL is http"), "{why}");
            let near = format!("{SERVER}\"https://m.example\"");
            let endpoint = format!("{far}\nendpoint = \"{url}\"");
            assert!(refused(&near, &endpoint).expect(url).contains("the store far"));
        }
        for url in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://m.example"] {
            let endpoint = format!("{STORE}zone = \"eu-east\"\nendpoint = \"{url}\"");
            assert_eq!(refused(&format!("{SERVER}\"{url}\""), &endpoint), None, "{url}");
        }
        let allowed = format!("{SERVER}\"http://m.example\"\n{STORE}zone = \"e\"\nendpoint = \"http://s3\"");
        let mut config = config(&allowed);
        config.allow_plain_http = true;
        assert!(config.check_places().is_ok());
    }
}

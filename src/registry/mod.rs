//! registry.
use crate::model::Version;
pub struct Publisher;
#[derive(Debug, thiserror::Error)]
#[error("registry")]
pub struct RegistryError;
impl Publisher {
    pub fn open(_url: &str, _keep: usize) -> Result<Self, RegistryError> {
        Ok(Publisher)
    }
    pub fn publish(&self, _model: &str, _version: &Version) -> Result<String, RegistryError> {
        Ok(String::new())
    }
    pub fn finish(self) -> Result<(), RegistryError> {
        Ok(())
    }
}

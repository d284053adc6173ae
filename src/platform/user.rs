//! The user id of this process.

/// Returns the current effective user id, which `process.setuid` and `process.seteuid` change.
///
/// The standard library has no safe call for it, but a socket's peer credentials contain it, so a pair of sockets is
/// created. Must be called on a Tokio runtime.
pub(super) fn effective_user_id() -> std::io::Result<u32> {
    let (socket, _peer) = tokio::net::UnixStream::pair()?;
    Ok(socket.peer_cred()?.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test creates a real file")]
    async fn effective_user_owns_created_files() {
        let path = std::env::temp_dir().join(format!("min-user-{}", std::process::id()));
        std::fs::write(&path, "").expect("a file");
        let owner = std::fs::metadata(&path).expect("a file").uid();
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(effective_user_id().expect("a user"), owner);
        // It works on a blocking thread, too.
        let found = tokio::task::spawn_blocking(effective_user_id).await;
        assert_eq!(found.expect("no panic").expect("a user"), owner);
    }
}

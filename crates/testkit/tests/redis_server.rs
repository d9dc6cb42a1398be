//! Our Redis keeps what it was told, and is gone when it is stopped.

use testkit::redis::Redis;

#[tokio::test]
async fn it_keeps_what_it_was_told_over_a_kill_and_forgets_on_request() {
    let mut redis = Redis::start().await.unwrap();
    assert_eq!(redis.command("SET key value").await.unwrap(), "+OK");
    redis.stop();
    redis.command("PING").await.unwrap_err();
    redis.restart().await.unwrap();
    assert_eq!(redis.command("EXISTS key").await.unwrap(), ":1");
    redis.flush().await.unwrap();
    assert_eq!(redis.command("EXISTS key").await.unwrap(), ":0");
}

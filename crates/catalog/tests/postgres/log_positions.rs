//! What is remembered of logs goes forward only, unless an operator says otherwise.

use model::LogPosition;

use crate::room::Room;

#[tokio::test]
async fn a_memory_goes_forward_until_an_operator_accepts_another_history() {
    let room = Room::new().await;
    let (catalog, mailbox) = (&room.catalog, room.mailbox().await);
    let position = |number, byte| LogPosition { number, digest: [byte; 32] };
    assert_eq!(catalog.log_position(mailbox, "north").await.unwrap(), None);
    for (noted, expected) in [(3, 3), (7, 7), (5, 7), (7, 7)] {
        catalog.remember_log(mailbox, "north", &position(noted, 1)).await.unwrap();
        let remembered = catalog.log_position(mailbox, "north").await.unwrap();
        assert_eq!(remembered, Some(position(expected, 1)), "after {noted}");
    }
    assert_eq!(catalog.log_position(mailbox, "south").await.unwrap(), None, "another store has another log");
    catalog.accept_log(mailbox, "north", &position(4, 2)).await.unwrap();
    assert_eq!(catalog.log_position(mailbox, "north").await.unwrap(), Some(position(4, 2)));
}

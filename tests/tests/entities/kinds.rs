//! Every kind comes back as it was written, and is compared exactly.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use policy_runtime::entity::{Direction, Nulls, Paging, Query, Repository};
use policy_runtime::{Attributes, Entity, SecurityContext};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{World, both, code, repository};

#[derive(Attributes, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    DeepRed,
    Blue,
}

#[derive(Attributes, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Maker {
    home_town: Option<String>,
    price: Decimal,
    since: Timestamp,
    hosts: Vec<IpAddr>,
    #[attributes(skip)]
    rating: f64,
}

#[derive(Entity, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "things")]
#[abac_policy(all_read(participant.roles contains "user"))]
#[abac_policy(all_create(participant.roles contains "user"))]
#[abac_policy(all_update(participant.roles contains "user"))]
struct Thing {
    id: Uuid,
    on: bool,
    count: i64,
    small: u8,
    price: Decimal,
    letter: char,
    colour: Colour,
    at: Timestamp,
    from: IpAddr,
    maybe: Option<i64>,
    maybe_at: Option<Timestamp>,
    maybe_colour: Option<Colour>,
    prices: Vec<Decimal>,
    colours: BTreeSet<Colour>,
    times: Vec<Timestamp>,
    keys: Option<Vec<Uuid>>,
    maker: Maker,
    maybe_maker: Option<Maker>,
    #[attributes(skip)]
    weight: f64,
    #[attributes(skip)]
    anything: Option<serde_json::Value>,
    #[serde(skip)]
    cached: Option<u8>,
    #[serde(skip_serializing, default)]
    hidden_from_others: Option<String>,
}

both! {
    every_kind_comes_back
    every_kind_is_compared
    every_kind_orders
    what_cannot_be_stored_is_said
}

fn thing(n: i64) -> Thing {
    let at: Timestamp = "2027-01-01T00:00:00.123456Z".parse().unwrap();
    Thing {
        id: Uuid::from_u128(u128::try_from(n).unwrap() + 1),
        on: n % 2 == 0,
        count: i64::MAX - n,
        small: u8::try_from(n).unwrap(),
        price: Decimal::new(-12_345 - n, 4),
        letter: 'ß',
        colour: Colour::DeepRed,
        at: Timestamp::from_microsecond(at.as_microsecond() + n * 1_000).unwrap(),
        from: "::ffff:10.0.0.7".parse::<IpAddr>().unwrap().to_canonical(),
        maybe: (n > 0).then_some(i64::MIN + n),
        maybe_at: None,
        maybe_colour: Some(Colour::Blue),
        prices: vec![Decimal::new(15, 1), Decimal::new(9_223_372_036_854_775_807, 4)],
        colours: [Colour::Blue, Colour::DeepRed].into(),
        times: vec![at, "1969-12-31T23:59:59.999999Z".parse().unwrap()],
        keys: Some(vec![Uuid::from_u128(9)]),
        maker: Maker {
            home_town: None,
            price: Decimal::new(225, 2),
            since: at,
            hosts: vec!["2001:db8::1".parse().unwrap()],
            rating: 0.1,
        },
        maybe_maker: None,
        weight: 1.0 / 3.0,
        anything: Some(serde_json::json!({ "a": [1, null, "x\u{1F600}"] })),
        cached: None,
        hidden_from_others: Some("for the database".into()),
    }
}

async fn things(world: &World) -> (Repository<Thing>, SecurityContext) {
    let things = repository::<Thing>(world).await;
    let user = world.caller("u", &["user"]);
    things.bulk_save(&user, (0..3).map(thing).collect()).await.unwrap();
    (things, user)
}

async fn every_kind_comes_back(world: World) {
    let (things, user) = things(&world).await;
    for n in 0..3 {
        let found = things.find_by_id(&user, &thing(n).id.to_string()).await.unwrap().unwrap();
        assert_eq!(found, thing(n));
    }
    let mut changed = thing(0);
    changed.maybe_maker = Some(changed.maker.clone());
    changed.keys = None;
    changed.colours.clear();
    changed.anything = None;
    let written = things.update(&user, changed.clone()).await.unwrap();
    assert_eq!(written.entity(), Some(&changed));
}

async fn every_kind_is_compared(world: World) {
    let (things, user) = things(&world).await;
    for (text, expected) in [
        ("id:00000000-0000-0000-0000-000000000002", 1),
        ("on:true", 2),
        ("count:9223372036854775807", 1),
        ("count:>=9223372036854775806", 2),
        ("price:\"-1.2345\"", 1),
        ("price:[-1.2347 TO -1.2346]", 2),
        ("letter:ß", 3),
        ("colour:deep-red", 3),
        ("colour:blue", 0),
        ("at:2027-01-01T00:00:00.123Z", 1),
        ("at:>2027-01-01T00:00:00.123Z", 2),
        ("from:10.0.0.7", 3),
        ("maybe:*", 2),
        ("NOT maybe:*", 1),
        ("maybe:\"-9223372036854775807\"", 1),
        ("NOT maybe:5", 2),
        ("prices:1.5", 3),
        ("prices:922337203685477.5807", 3),
        ("colours:blue", 3),
        ("keys:00000000-0000-0000-0000-000000000009", 3),
        ("maker.price:2.25", 3),
        ("maker.homeTown:*", 0),
        ("maker.since:2027-01-01T00:00:00.123Z", 3),
    ] {
        let query = Query::parse(text).unwrap();
        assert_eq!(things.count_by_query(&user, &query).await.unwrap(), expected, "{text}");
    }
    let rule = Query::rule("entity.from in '10.0.0.0/8' and entity.small in [0, 2] and not entity.colour == 'blue'");
    assert_eq!(things.count_by_query(&user, &rule.unwrap()).await.unwrap(), 2);
}

async fn every_kind_orders(world: World) {
    let (things, user) = things(&world).await;
    for (field, direction, nulls, expected) in [
        ("count", Direction::Ascending, None, [2, 1, 0]),
        ("small", Direction::Descending, None, [2, 1, 0]),
        ("price", Direction::Ascending, None, [2, 1, 0]),
        ("at", Direction::Descending, None, [2, 1, 0]),
        ("maybe", Direction::Ascending, None, [1, 2, 0]),
        ("maybe", Direction::Descending, Some(Nulls::First), [0, 2, 1]),
        ("on", Direction::Ascending, None, [1, 0, 2]),
        ("id", Direction::Descending, None, [2, 1, 0]),
        ("maybeAt", Direction::Ascending, None, [0, 1, 2]),
    ] {
        // By pages of one, with cursors: no row is lost or comes twice, whatever is NULL.
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let mut paging = Paging::cursor(cursor.as_deref(), 1).by(field, direction);
            if let Some(nulls) = nulls {
                paging = paging.nulls(nulls);
            }
            let page = things.find_all(&user, &paging).await.unwrap();
            assert_eq!(page.total_elements, None);
            found.extend(page.content.iter().map(|thing| thing.small));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{field}");
    }
}

async fn what_cannot_be_stored_is_said(world: World) {
    let (things, user) = things(&world).await;
    let mut fine = thing(9);
    fine.price = Decimal::new(1, 5);
    let refused = things.save(&user, fine).await.unwrap_err();
    assert_eq!(refused.code(), policy_runtime::Code::UnusableValue);
    assert!(refused.to_string().contains("`price`"), "{refused}");
    let mut text = thing(9);
    text.maker.home_town = Some("a\0b".into());
    assert_eq!(code(things.save(&user, text).await), policy_runtime::Code::UnusableValue);
    assert_eq!(things.count_by_query(&user, &Query::all()).await.unwrap(), 3);
}

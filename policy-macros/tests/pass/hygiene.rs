//! No prelude, and std's names taken by something else.
#![no_implicit_prelude]
#![expect(dead_code, non_camel_case_types, reason = "nobody calls it, and the names are std's")]

mod shadows {
    pub struct Result;
    pub struct Option;
    pub struct Some;
    pub struct None;
    pub struct Ok;
    pub struct Err;
    pub struct Vec;
    pub struct String;
    pub struct Box;
    pub struct Future;
    pub struct str;
    pub mod std {}
    pub mod core {}
    pub mod policy_runtime {}
    pub mod module_path {}
}
#[expect(unused_imports, reason = "generated code must not find any of these")]
use shadows::*;

#[derive(::policy_runtime::Attributes)]
struct Order {
    amount: u32,
    status: Status,
    tags: ::std::vec::Vec<::std::string::String>,
}

#[derive(::policy_runtime::Attributes)]
enum Status {
    Open,
}

#[derive(::policy_runtime::Attributes)]
struct Number(u32);

#[derive(::policy_runtime::Entity)]
#[abac_policy(all_read(entity.id == 5))]
struct Photo {
    id: u32,
}

#[::policy_runtime::abac_policy(order.amount < 5 and order.tags contains "a" and order.status == "Open" and number in [1, 2])]
fn approve(
    order: &Order,
    number: Number,
    opened: u8,
    permit: u8,
    denied: u8,
) -> ::core::result::Result<u8, ::policy_runtime::Denied> {
    let _ = (order, number);
    ::core::result::Result::Ok(opened + permit + denied)
}

pub struct Orders;

#[::policy_runtime::publish("hygiene.example")]
impl Orders {
    #[::policy_runtime::abac_policy(amount < 5)]
    pub async fn place(
        &self,
        amount: u32,
        note: &::core::primitive::str,
        context: u8,
        arguments: u8,
    ) -> ::core::result::Result<u32, ::policy_runtime::Denied> {
        let _ = (note, context, arguments);
        ::core::result::Result::Ok(amount)
    }
}

#[::policy_runtime::publish("hygiene.example")]
pub trait Billing {
    #[::policy_runtime::abac_policy(amount < 5)]
    async fn bill(&self, amount: u32) -> ::core::result::Result<u32, ::policy_runtime::Denied>;
}

struct Bills;

#[::policy_runtime::publish(impl)]
impl Billing for Bills {
    async fn bill(&self, amount: u32) -> ::core::result::Result<u32, ::policy_runtime::Denied> {
        ::core::result::Result::Ok(amount)
    }
}

#[test]
fn compiles() {}

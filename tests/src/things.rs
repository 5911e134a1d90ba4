//! The entities of the fixture: one that everybody may use, and one with every kind of rule.

use policy_runtime::Entity;
use policy_runtime::entity::{Entities, Published, Query};
use policy_runtime::gateway::GatewayBuilder;
use serde::{Deserialize, Serialize};

use crate::users;

/// What the acceptance suite saves, finds and deletes.
#[derive(Debug, Clone, Serialize, Deserialize, Entity)]
#[entity(namespace = "com.example.fixture", table = "things", tenant = tenant_id, tenant_from = "organization")]
#[serde(rename_all = "camelCase")]
#[abac_policy(all_create(participant.roles contains "user"), all_read(participant.roles contains "user"))]
#[abac_policy(all_update(participant.roles contains "user"), all_delete(participant.roles contains "user"))]
#[abac_policy(all_tenants_read(participant.roles contains "finance"))]
#[abac_policy(all_tenants_delete(participant.roles contains "finance"))]
#[non_exhaustive]
pub struct Thing {
    /// Made when it is empty.
    #[serde(default)]
    pub id: String,
    /// Its organization.
    #[serde(default, skip_serializing)]
    pub tenant_id: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// What it is found under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// A payslip: its owner changes it while it is open, finance sees all, and a colleague sees it without the salary.
#[derive(Debug, Clone, Serialize, Deserialize, Entity)]
#[entity(namespace = "com.example.fixture", table = "payslips", tenant = company, tenant_from = "organization")]
#[serde(rename_all = "camelCase")]
#[abac_policy(all_create(entity.ownerId == participant.id))]
#[abac_policy(all_read(entity.ownerId == participant.id or entity.shared or participant.roles contains "finance"))]
#[abac_policy(all_update(entity.ownerId == participant.id and entity.status == "open"))]
#[abac_policy(all_delete(entity.ownerId == participant.id and entity.status == "open"))]
#[abac_policy(all_tenants_read(participant.roles contains "auditor"))]
#[abac_policy(tenants_delete_by_id(participant.roles contains "auditor" and entity.status == "paid"))]
#[non_exhaustive]
pub struct Payslip {
    /// Made when it is empty.
    #[serde(default)]
    pub id: String,
    /// Its organization.
    #[serde(default)]
    pub company: String,
    /// Whose it is.
    pub owner_id: String,
    /// `open`, then `paid`.
    pub status: String,
    /// Whether colleagues see it.
    #[serde(default)]
    pub shared: bool,
    /// What it is about.
    pub title: String,
    /// How much it is.
    #[abac_policy(read(participant.roles contains "finance" or entity.ownerId == participant.id))]
    #[abac_policy(write(entity.ownerId == participant.id))]
    pub salary: Option<i64>,
}

/// Publishes both, in a database that ends with the process.
///
/// # Errors
/// When the database does not do it.
pub async fn publish(
    builder: GatewayBuilder,
    entities: &Entities,
) -> Result<GatewayBuilder, Box<dyn std::error::Error>> {
    entities.create_table::<Thing>().await?;
    entities.create_table::<Payslip>().await?;
    let payslips = entities.repository::<Payslip>().await?;
    let elsewhere = Published::new(payslips.clone()).application(users::elsewhere());
    let payslips = Published::new(payslips)
        .query("above", |given| Ok(Query::gt("salary", given.get::<i64>("salary")?)))
        .query("titled", |given| Ok(Query::eq("title", given.get::<String>("title")?)));
    Ok(builder.entity(entities.repository::<Thing>().await?).entity(payslips).entity(elsewhere))
}

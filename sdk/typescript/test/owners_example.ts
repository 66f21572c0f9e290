import { SmarterMCP } from '@smartercl/mcp-client';

const client = new SmarterMCP({
  apiToken: 'smcp_xxxxxxxxxxxxx',
  tenantId: 'tenant-uuid-here',
});

// List services
const services = await client.services.list({ filter: 'backend' });
services.forEach(service => {
  console.log(`${service.name}: ${service.status}`);
});

// Trigger workflow
const execution = await client.workflows.trigger({
  workflowId: 'wf_backup_db',
  inputData: { database: 'smarteros', compress: true },
});
console.log(`Execution ID: ${execution.executionId}`);

// Get analytics
const kpis = await client.analytics.kpis({
  kpis: ['revenue_mtd', 'conversion_rate'],
});
console.log(`Revenue MTD: $${kpis.revenue_mtd}`);
console.log(`Conversion Rate: ${kpis.conversion_rate}%`);

// Search CRM contacts
const contacts = await client.crm.contacts.search({
  query: 'john@example.com',
});
contacts.forEach(contact => {
  console.log(`${contact.name} - ${contact.email}`);
});

// Azure's services by host name: the resource of their tokens, as in docs/resources.md, and a request that needs a token
// but changes nothing.
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/services-id-authentication-support

/** How a service is asked whether it accepts a token. */
export interface ServiceRequest {
  /** The path with its query, for a URL that has none. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Returns the header `Authorization`, if that is not a bearer token. */
  readonly authorization?: (token: string) => string;
}

export interface AzureService {
  readonly name: string;
  /** The resource of its tokens. */
  readonly resource: string;
  /** A role with which an identity may send `request`. */
  readonly role: string;
  /** undefined for a service that a GET of HTTP does not reach. */
  readonly request: ServiceRequest | undefined;
}

/** A service with the host names that belong to it. */
type Row = Omit<AzureService, "resource"> & {
  /** The resource by the end of the host name, or its whole. undefined: the service itself. */
  readonly hosts: Readonly<Record<string, string | undefined>>;
};

const STORAGE = "https://storage.azure.com";
/** The ends of the host names of storage accounts in the public cloud, in China and for the US Government. */
const STORAGE_SUFFIXES = ["core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"];
/** The first version with tokens of Entra for every kind of storage; https://learn.microsoft.com/rest/api/storageservices. */
const STORAGE_VERSION = { "x-ms-version": "2022-11-02" };

function storageHosts(kind: string): Readonly<Record<string, string>> {
  return Object.fromEntries(STORAGE_SUFFIXES.map((suffix) => [`${kind}.${suffix}`, STORAGE]));
}

function databaseHosts(kind: string): Readonly<Record<string, string>> {
  return {
    [`${kind}.database.azure.com`]: "https://ossrdbms-aad.database.windows.net",
    [`${kind}.database.usgovcloudapi.net`]: "https://ossrdbms-aad.database.usgovcloudapi.net",
    [`${kind}.database.chinacloudapi.cn`]: "https://ossrdbms-aad.database.chinacloudapi.cn",
  };
}

const ROWS: readonly Row[] = [
  {
    name: "Key Vault",
    hosts: {
      "vault.azure.net": "https://vault.azure.net",
      "vault.azure.cn": "https://vault.azure.cn",
      "vault.usgovcloudapi.net": "https://vault.usgovcloudapi.net",
    },
    role: "Key Vault Secrets User",
    request: { path: "/secrets?api-version=7.4&maxresults=1" },
  },
  {
    name: "Managed HSM",
    hosts: {
      "managedhsm.azure.net": "https://managedhsm.azure.net",
      "managedhsm.usgovcloudapi.net": "https://managedhsm.usgovcloudapi.net",
      "managedhsm.azure.cn": "https://managedhsm.azure.cn",
    },
    role: "Managed HSM Crypto User",
    request: { path: "/keys?api-version=7.4&maxresults=1" },
  },
  {
    name: "Blob Storage",
    hosts: storageHosts("blob"),
    role: "Storage Blob Data Reader",
    request: { path: "/?comp=list&maxresults=1", headers: STORAGE_VERSION },
  },
  {
    name: "Queue Storage",
    hosts: storageHosts("queue"),
    role: "Storage Queue Data Reader",
    request: { path: "/?comp=list&maxresults=1", headers: STORAGE_VERSION },
  },
  {
    name: "Table Storage",
    hosts: storageHosts("table"),
    role: "Storage Table Data Reader",
    request: {
      path: "/Tables?$top=1",
      headers: { ...STORAGE_VERSION, Accept: "application/json;odata=nometadata" },
    },
  },
  {
    name: "Data Lake Storage",
    hosts: storageHosts("dfs"),
    role: "Storage Blob Data Reader",
    request: { path: "/?resource=account&maxResults=1", headers: STORAGE_VERSION },
  },
  {
    name: "File Storage",
    hosts: storageHosts("file"),
    role: "Storage File Data Privileged Reader",
    request: {
      path: "/?comp=list&maxresults=1",
      headers: { ...STORAGE_VERSION, "x-ms-file-request-intent": "backup" },
    },
  },
  {
    name: "Azure Resource Manager",
    hosts: {
      "management.azure.com": "https://management.azure.com",
      "management.chinacloudapi.cn": "https://management.chinacloudapi.cn",
      "management.usgovcloudapi.net": "https://management.usgovcloudapi.net",
    },
    role: "Reader",
    request: { path: "/subscriptions?api-version=2022-12-01" },
  },
  {
    name: "Microsoft Graph",
    hosts: {
      "graph.microsoft.com": "https://graph.microsoft.com",
      "graph.microsoft.us": "https://graph.microsoft.us",
      "microsoftgraph.chinacloudapi.cn": "https://microsoftgraph.chinacloudapi.cn",
    },
    role: "an app role of Microsoft Graph, such as Application.Read.All",
    request: { path: "/v1.0/applications?$top=1&$select=id" },
  },
  {
    name: "App Configuration",
    hosts: {
      "azconfig.io": "https://appconfig.azure.com",
      "azconfig.azure.us": "https://appconfig.azure.us",
      "azconfig.azure.cn": "https://appconfig.azure.cn",
    },
    role: "App Configuration Data Reader",
    request: { path: "/keys?api-version=1.0" },
  },
  {
    name: "Cosmos DB",
    hosts: {
      "documents.azure.com": undefined,
      "documents.azure.us": undefined,
      "documents.azure.cn": undefined,
    },
    role: "Cosmos DB Built-in Data Reader",
    request: {
      path: "/",
      headers: { "x-ms-version": "2018-12-31" },
      authorization: (token) => encodeURIComponent(`type=aad&ver=1.0&sig=${token}`),
    },
  },
  {
    name: "AI Search",
    hosts: {
      "search.windows.net": "https://search.azure.com",
      "search.azure.us": "https://search.azure.us",
      "search.azure.cn": "https://search.azure.cn",
    },
    role: "Search Service Contributor",
    request: { path: "/indexes?api-version=2024-07-01&$select=name" },
  },
  {
    name: "Azure OpenAI",
    hosts: {
      "openai.azure.com": "https://cognitiveservices.azure.com",
      "openai.azure.us": "https://cognitiveservices.azure.us",
      "openai.azure.cn": "https://cognitiveservices.azure.cn",
    },
    role: "Cognitive Services OpenAI User",
    request: { path: "/openai/models?api-version=2024-10-21" },
  },
  {
    name: "Azure AI services",
    hosts: {
      "cognitiveservices.azure.com": "https://cognitiveservices.azure.com",
      "cognitiveservices.azure.us": "https://cognitiveservices.azure.us",
      "cognitiveservices.azure.cn": "https://cognitiveservices.azure.cn",
    },
    role: "Cognitive Services User",
    request: undefined,
  },
  {
    name: "Service Bus or Event Hubs",
    hosts: {
      "servicebus.windows.net": "https://servicebus.azure.net",
      "servicebus.chinacloudapi.cn": "https://servicebus.azure.net",
      "servicebus.usgovcloudapi.net": "https://servicebus.azure.net",
    },
    role: "Azure Service Bus Data Receiver or Azure Event Hubs Data Receiver",
    request: undefined,
  },
  {
    name: "Database for PostgreSQL",
    hosts: databaseHosts("postgres"),
    role: "a role of the database: pgaadauth_create_principal",
    request: undefined,
  },
  {
    name: "Database for MySQL",
    hosts: databaseHosts("mysql"),
    role: "a user of the database: CREATE AADUSER",
    request: undefined,
  },
  {
    name: "SQL Database",
    // After the other databases, whose names end with these as well.
    hosts: {
      "database.windows.net": "https://database.windows.net",
      "database.chinacloudapi.cn": "https://database.chinacloudapi.cn",
      "database.usgovcloudapi.net": "https://database.usgovcloudapi.net",
    },
    role: "a user of the database: CREATE USER … FROM EXTERNAL PROVIDER",
    request: undefined,
  },
  {
    name: "Azure Cache for Redis",
    hosts: {
      "redis.cache.windows.net": "https://redis.azure.com",
      "redis.azure.net": "https://redis.azure.com",
    },
    role: "Data Reader, an access policy of the cache",
    request: undefined,
  },
  {
    name: "Container Registry",
    hosts: { "azurecr.io": "https://containerregistry.azure.net" },
    role: "AcrPull",
    request: undefined,
  },
  {
    name: "Event Grid",
    hosts: { "eventgrid.azure.net": "https://eventgrid.azure.net" },
    role: "EventGrid Data Sender",
    request: undefined,
  },
  {
    name: "Log Analytics",
    hosts: {
      "api.loganalytics.azure.com": "https://api.loganalytics.io",
      "api.loganalytics.io": "https://api.loganalytics.io",
      "api.loganalytics.us": "https://api.loganalytics.us",
      "api.loganalytics.azure.cn": "https://api.loganalytics.azure.cn",
    },
    role: "Log Analytics Reader",
    request: undefined,
  },
  {
    name: "Azure Monitor ingestion",
    hosts: {
      "ingest.monitor.azure.com": "https://monitor.azure.com",
      "ingest.monitor.azure.us": "https://monitor.azure.us",
      "ingest.monitor.azure.cn": "https://monitor.azure.cn",
    },
    role: "Monitoring Metrics Publisher",
    request: undefined,
  },
  {
    name: "SignalR Service",
    hosts: { "service.signalr.net": "https://signalr.azure.com" },
    role: "SignalR App Server",
    request: undefined,
  },
  {
    name: "Web PubSub",
    hosts: { "webpubsub.azure.com": "https://webpubsub.azure.com" },
    role: "Web PubSub Service Owner",
    request: undefined,
  },
  {
    name: "Azure DevOps",
    // The id of Azure DevOps, the same in every tenant.
    hosts: { "dev.azure.com": "499b84ac-1321-427f-aa17-267ca6975798" },
    role: "a user of the organization, which adds the identity",
    request: undefined,
  },
];

/** Returns the service that a URL belongs to, or undefined. */
export function findService({ hostname }: URL): AzureService | undefined {
  for (const { hosts, ...service } of ROWS) {
    const suffix = Object.keys(hosts).find((end) => hostname === end || hostname.endsWith(`.${end}`));
    if (suffix !== undefined) return { ...service, resource: hosts[suffix] ?? `https://${hostname}` };
  }
  return undefined;
}

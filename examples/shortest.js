// The shortest program: run it on an Azure host with a managed identity.
const { ManagedIdentityApplication } = require("managed-identity-native");

new ManagedIdentityApplication()
  .acquireToken("https://vault.azure.net")
  .then(({ expiresOn }) => console.log(`A token until ${expiresOn.toISOString()}.`));

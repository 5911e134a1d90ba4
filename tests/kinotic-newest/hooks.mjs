// The cases of ../kinotic-client run here as they are, with this folder's client and this folder's lib.
const here = name => new URL(name, import.meta.url).href
export const resolve = (specifier, context, next) => {
  const of_cases = context.parentURL?.includes('/kinotic-client/cases/')
  if (of_cases && ['../lib.mjs', '@kinotic-ai/os-api'].includes(specifier)) return { url: here('lib.mjs'), shortCircuit: true }
  const isPackage = !/^[./]|:/.test(specifier)
  return next(specifier, isPackage && context.parentURL?.includes('/kinotic-client/') ? { ...context, parentURL: here('run.mjs') } : context)
}
